"""Models: left as they were found, and refused by name where they can't be done right."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BloomConfig,
    FalconConfig,
    MambaConfig,
    MptConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    RwkvConfig,
    T5Config,
)

from keepmap.errors import ImpossibleResultError, InputError, ModelError
from keepmap.kv.eviction.evict import evict
from keepmap.kv.method import LayerInput, Scored
from keepmap.language_model import load_language_model
from tests.families import FAMILIES, build, tokens
from tests.reference.decode import decode
from tests.reference.rules import Rule
from tests.reference.scores import streaming_llm


@dataclass(frozen=True)
class Failing(Scored):
    """Goes wrong in the layer after the first."""

    result: float | None

    name: ClassVar[str] = "failing"
    label: ClassVar[str] = "Failing"
    needs: ClassVar[str] = "position"
    threshold: ClassVar[float | None] = 0.0

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        if layer.layer == 0:
            return torch.zeros(layer.keys.shape[:2])
        if self.result is None:
            raise RuntimeError("this method goes wrong")
        return torch.full(layer.keys.shape[:2], self.result)


def state(model: PreTrainedModel) -> dict[str, object]:
    """Everything that a run could leave changed."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_forward_hooks_with_kwargs")
    return {
        "config": copy.deepcopy(model.config.to_dict()),
        "implementations": [m.config._attn_implementation for m in model.modules() if hasattr(m, "config")],
        "training": [m.training for m in model.modules()],
        "hooks": [len(getattr(m, hook)) for m in model.modules() for hook in hooks],
        "attributes": [sorted(vars(m)) for m in model.modules()],
        "classes": [type(m) for m in model.modules()],
        "gradients": [p.requires_grad for p in model.parameters()],
        "weights": [float(p.double().sum()) for p in model.parameters()],
        "buffers": [float(b.double().sum()) for b in model.buffers()],
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_is_left_as_found(family):
    model = build(family)
    language_model = load_language_model(model)
    language_model.model.set_attn_implementation("eager")
    before, logits = state(model), model(tokens(30)[None]).logits
    for name in ("random", "expected_attention", "h2o"):
        evict(language_model, tokens(40), name, density=0.2, window=3)
    assert state(model) == before
    assert torch.equal(model(tokens(30)[None]).logits, logits)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("result", "error"), [(None, RuntimeError), (float("nan"), ImpossibleResultError)])
def test_a_model_is_left_as_found_after_an_error_in_the_middle(result, error, training):
    model = build("gemma2")
    language_model = load_language_model(model)
    model.train(training)
    before = state(model)
    with pytest.raises(error):
        evict(language_model, tokens(40), Failing(result), window=3)
    assert state(model) == before


def test_a_model_in_training_mode_stays_in_it_and_gives_the_same():
    model = build("gpt2")  # has dropout
    language_model = load_language_model(model)
    expected = evict(language_model, tokens(40), "random", window=3).logits
    model.train()
    assert torch.equal(evict(language_model, tokens(40), "random", window=3).logits, expected)
    assert model.training


SMALL = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2}
SHORT = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
REFUSED = {
    "t5": (T5Config(vocab_size=40, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2), "encoder"),
    "mamba": (MambaConfig(**SMALL, **SHORT, state_size=4), "state|recurren|attention"),
    "rwkv": (RwkvConfig(**SMALL, **SHORT, attention_hidden_size=32), "state|recurren|attention"),
    "bloom": (BloomConfig(vocab_size=40, hidden_size=32, n_layer=1, n_head=2, **SHORT), "(?i)alibi|bias"),
    "mpt": (MptConfig(vocab_size=40, d_model=32, n_heads=2, n_layers=1, **SHORT), "(?i)alibi|bias"),
    "falcon": (
        FalconConfig(vocab_size=40, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, alibi=True, **SHORT),
        "(?i)alibi|bias",
    ),
}


@pytest.mark.parametrize(("architecture", "config", "reason"), [(k, *v) for k, v in REFUSED.items()], ids=[*REFUSED])
def test_a_model_that_cannot_be_done_right_is_refused_by_name(architecture: str, config: PreTrainedConfig, reason: str):
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = auto.from_config(config).eval()
    with pytest.raises(ModelError, match=f"(?i){architecture}") as raised:
        evict(load_language_model(model), tokens(20) % 37, "random", window=2)
    message = str(raised.value)
    assert "\n" not in message
    with pytest.raises(ModelError, match=reason):
        evict(load_language_model(model), tokens(20) % 37, "random", window=2)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"threshold": float("nan")}, "NaN"),
        ({"density": 1.5}, "density"),
        ({"density": -0.1}, "density"),
        ({"density": 0.5, "threshold": 0.5}, ""),
        ({"density": 0.5, "budget": 5}, ""),
        ({"chunk_size": 0}, "chunk"),
        ({"window": -1}, "window"),
        ({"n_sink": -1}, "sink"),
        ({"budget": -1}, "budget"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_one_line(options, what):
    language_model = load_language_model(build("llama"))
    with pytest.raises(InputError, match=f"(?i){what}") as raised:
        evict(language_model, tokens(20), "random", **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "ids",
    [torch.tensor([], dtype=torch.int64), torch.tensor([5, 10_000]), torch.tensor([5, -1]), torch.zeros(2, 9).long()],
    ids=["empty", "no such token", "negative token", "two texts"],
)
def test_token_ids_that_make_no_sense_are_one_line(ids):
    language_model = load_language_model(build("llama"))
    with pytest.raises(InputError) as raised:
        evict(language_model, ids, "random")
    assert "\n" not in str(raised.value)


def test_a_text_longer_than_the_model_is_refused():
    language_model = load_language_model(build("gpt2"))
    with pytest.raises(InputError, match="1024"):
        evict(language_model, tokens(1025), "random")


def test_an_unknown_method_is_told_with_the_closest():
    with pytest.raises(InputError, match='did you mean "h2o"'):
        evict(load_language_model(build("llama")), tokens(20), "h20")


def longrope() -> PreTrainedModel:
    """A model that turns by other angles once a text is longer than 64 tokens."""
    rope = {"short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0, 3.0, 4.0, 5.0], "rope_type": "longrope"}
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Phi3Config(
        vocab_size=397,
        intermediate_size=48,
        max_position_embeddings=256,
        original_max_position_embeddings=64,
        rope_parameters=rope | {"original_max_position_embeddings": 64, "rope_theta": 100.0},
        **sizes,
        **SHORT,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).double().eval()
    for layer in model.model.layers:
        layer.self_attn.qkv_proj.weight.data *= 12
    return model


def test_a_rotation_that_depends_on_the_length_is_done_below_that_length():
    model = longrope()
    truth = decode(model, tokens(60), streaming_llm, Rule(threshold=1.0, window=9), 1, growing=False)
    eviction = evict(load_language_model(model), tokens(60), "streaming_llm", window=9)
    torch.testing.assert_close(eviction.logits, truth.logits, rtol=0, atol=1e-6)


def test_a_rotation_that_depends_on_the_length_is_refused_beyond_it():
    """Decoding token by token keeps the early keys as they were turned; one pass would turn them all anew."""
    with pytest.raises((ModelError, InputError)) as raised:
        evict(load_language_model(longrope()), tokens(65), "streaming_llm", window=9)
    assert "64" in str(raised.value) and "\n" not in str(raised.value)


def test_logits_need_no_gradient():
    model = build("llama").requires_grad_(True)
    eviction = evict(load_language_model(model), tokens(20), "random", window=2)
    assert not eviction.logits.requires_grad and not eviction.hidden_states.requires_grad
