"""Models from everywhere: "tiny", folders, GGUF files and memory; and one line for what is none."""

import logging
import shutil
import sys

import pytest
import torch
from transformers import LlamaConfig, LlamaModel
from transformers.utils import logging as transformers_logging

from keepmap.errors import InputError, ModelError
from keepmap.language_model import as_language_model, load_language_model, loading
from tests.families import build


def test_tiny_has_its_sizes_and_its_tokenizer():
    tiny = load_language_model("tiny", device="cpu")
    config = tiny.model.config
    assert (tiny.name, tiny.n_layers, tiny.n_kv_heads) == ("tiny", config.num_hidden_layers, config.num_key_value_heads)
    assert tiny.tokenizer.decode(tiny.tokenizer.encode("hello there")) == "hello there"


def test_loading_is_silent(capfd):
    transformers_logging.enable_progress_bar()
    load_language_model("tiny", device="cpu")
    as_language_model("tiny")
    assert capfd.readouterr() == ("", "") and transformers_logging.is_progress_bar_enabled()


def test_a_folder_and_the_same_model_in_memory(model_folder):
    loaded = load_language_model(model_folder, device="cpu", dtype="float64")
    assert (loaded.dtype, loaded.max_positions, loaded.vocab_size) == (torch.float64, 256, 257)
    again = load_language_model(loaded.model)
    assert again.model is loaded.model and again.tokenizer.encode("abc") == loaded.tokenizer.encode("abc")
    assert as_language_model(loaded) is loaded and load_language_model(loaded) is loaded
    assert load_language_model(loaded, dtype="float32").dtype == torch.float32


def test_a_model_in_memory_without_a_folder_has_no_tokenizer():
    language_model = as_language_model(build("llama"))
    assert language_model.tokenizer is None and language_model.name == "LlamaForCausalLM"


def test_damaged_and_incomplete_folders_are_one_line(tmp_path, model_folder):
    with pytest.raises(ModelError, match="no config.json"):
        load_language_model(tmp_path)
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_language_model(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot load the weights.*cut or damaged") as raised:
        load_language_model(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (3, {}, InputError, "expected `model` to be a loaded Hugging Face model.*got 3"),
        ("./nothing/here", {}, ModelError, "no such folder or hub id"),
        ("tinyy", {}, ModelError, '^model "tinyy": no such folder, did you mean "tiny"[?]$'),
        ("SmolLM2-135M", {}, ModelError, '^model "SmolLM2-135M": no such folder, did you mean "smollm2"[?]$'),
        (__file__, {}, ModelError, "is a file, and not a GGUF file; give"),
        ("tiny", {"tokenizer": "/nope"}, ModelError, '^tokenizer "/nope": no such folder or hub id; give a folder'),
        ("tiny", {"tokenizer": __file__}, ModelError, "^tokenizer .*: it is a file; give a folder"),
        ("tiny", {"dtype": "float23"}, InputError, 'dtype "float23" is not supported, did you mean "float32"'),
        ("tiny", {"device": "tpu9000"}, InputError, '`device` to be "auto", "cpu", "cuda" or "cuda:N"'),
        ("tiny", {"device": "meta"}, InputError, 'device "meta" is not supported'),
    ],
)
def test_what_is_no_model_device_or_dtype_is_one_line(model, options, error, message):
    with pytest.raises(error, match=message):
        load_language_model(model, **options)


def test_a_model_that_predicts_no_tokens_is_not_supported():
    config = LlamaConfig(
        vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with pytest.raises(ModelError, match="LlamaModel is not supported: it predicts no tokens"):
        load_language_model(LlamaModel(config))


def test_the_hubs_retries_are_not_told(monkeypatch, caplog):
    def pinned(source):
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
        raise OSError("nobody answers")

    monkeypatch.setattr(loading, "pinned", pinned)
    with pytest.raises(ModelError, match="nobody answers; check the name and the connection"):
        load_language_model("somebody/model")
    assert caplog.messages == []


def test_loading_by_name_leaves_the_bars_as_they_were():
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.is_progress_bar_enabled()
    as_language_model("tiny")
    assert transformers_logging.is_progress_bar_enabled() == before and "transformers" in sys.modules
