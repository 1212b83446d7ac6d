"""Refusals by name and reason, and how long a text may be, from configs alone."""

import pytest
from transformers import DeepseekV3Config, FalconConfig, LlamaConfig, MambaConfig, Phi3Config, T5Config

from keepmap.errors import ModelError
from keepmap.language_model.support import longest_text, require_supported


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (T5Config(), "encoder-decoder"),
        (DeepseekV3Config(), "latent vector"),
        (FalconConfig(alibi=True), "ALiBi"),
        (MambaConfig(), "no attention|hold a state"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_what_is_not_supported_is_told_by_name_and_reason(config, reason):
    with pytest.raises(ModelError, match=f"^TheModel is not supported: .*({reason})"):
        require_supported(config, "TheModel")


def test_layers_that_hold_a_state_are_named():
    config = LlamaConfig(num_hidden_layers=2)
    require_supported(config, "Llama")
    config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(ModelError, match="layers of type linear_attention hold a state"):
        require_supported(config, "Llama")


def test_the_longest_text_is_the_configs_and_shorter_where_a_rotation_would_change():
    assert longest_text(LlamaConfig(max_position_embeddings=77)) == 77
    assert longest_text(MambaConfig()) is None
    rope = {
        "rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4,
        "original_max_position_embeddings": 50, "rope_theta": 1e4,
    }  # fmt: skip
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "pad_token_id": 0}
    long = Phi3Config(**sizes, max_position_embeddings=100, original_max_position_embeddings=50, rope_parameters=rope)
    assert longest_text(long) == 50
