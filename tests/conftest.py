"""What many tests share: a small random model in a folder, and a data file that it can read."""

import json
from pathlib import Path

import pytest
from hypothesis import settings

# Time per example is no property of the code: a busy machine must not fail a test.
settings.register_profile("keepmap", deadline=None)
settings.load_profile("keepmap")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers, 4 heads and 2 KV heads, 256 positions, with a byte-level tokenizer of 257 ids."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: index for index, char in enumerate([*alphabet, "<end>"])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.4,
        tie_word_embeddings=False,
        bos_token_id=256,
        eos_token_id=256,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """Four texts of 90 to 150 bytes, which are as many tokens for `model_folder`."""
    path = tmp_path / "data.jsonl"
    texts = [f"{number}: " + "the quick brown fox and the lazy dog; " * 4 for number in range(4)]
    lines = [json.dumps({"text": text[: 90 + 20 * number]}) for number, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No annotation is enforced, as for users: what is wrong reaches the code's own checks."""
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
