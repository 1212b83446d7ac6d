"""Models from everywhere: "tiny", folders, GGUF files and memory; and one line for what is none."""

import shutil
import sys
from importlib.util import find_spec

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from keepmap.errors import InputError, ModelError
from keepmap.language_model import as_language_model, load_language_model, loading
from tests.families import build, tokens


def test_tiny_has_its_sizes_and_its_tokenizer():
    tiny = load_language_model("tiny", device="cpu")
    config = tiny.model.config
    assert (tiny.name, tiny.n_layers, tiny.n_kv_heads) == ("tiny", config.num_hidden_layers, config.num_key_value_heads)
    assert tiny.tokenizer.decode(tiny.tokenizer.encode("hello there")) == "hello there"


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


def write_gguf(path, model):
    """A Llama of float32 as a GGUF file, in the names and the layout that llama.cpp's converter gives."""
    from gguf import GGUFWriter

    config, heads = model.config, model.config.num_attention_heads
    writer = GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, tensor in model.state_dict().items():
        name = name.removesuffix(".weight")
        if name in whole:
            target = whole[name]
        else:
            _, _, layer, part = name.split(".", 3)
            target = f"blk.{layer}.{names[part]}"
        for projection, count in (("q_proj", heads), ("k_proj", config.num_key_value_heads)):
            if name.endswith(projection):  # the two halves of a head, interleaved
                rows = tensor.view(count, 2, -1, tensor.shape[1])
                tensor = rows.transpose(1, 2).reshape(tensor.shape)
        writer.add_tensor(f"{target}.weight", tensor.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.skipif(not (find_spec("gguf") and find_spec("accelerate")), reason="the extra gguf is not installed")
@pytest.mark.filterwarnings("default")
def test_a_gguf_file_gives_the_same_logits(tmp_path, model_folder):
    source = load_language_model(model_folder, device="cpu")
    write_gguf(tmp_path / "model.gguf", source.model)
    found = load_language_model(tmp_path / "model.gguf", tokenizer=model_folder, device="cpu")
    assert (found.n_layers, found.n_heads, found.n_kv_heads, found.dtype) == (2, 4, 2, torch.float32)
    ids = tokens(40)[None] % 257
    with torch.no_grad():
        expected, logits = (part.model(ids, use_cache=False).logits for part in (source, found))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert found.tokenizer.encode("fox") == source.tokenizer.encode("fox")
    found.model.save_pretrained(tmp_path / "saved")  # it does not call itself quantised
    (tmp_path / "damaged.gguf").write_bytes((tmp_path / "model.gguf").read_bytes()[:500])
    with pytest.raises(ModelError, match="damaged.gguf.*download the file again") as raised:
        load_language_model(tmp_path / "damaged.gguf")
    assert "\n" not in str(raised.value)


def test_a_gguf_file_needs_its_extra(tmp_path, monkeypatch):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(loading, "find_spec", lambda package: None)
    with pytest.raises(ModelError, match=r'needs gguf and accelerate: pip install "keepmap\[gguf\]"'):
        load_language_model(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match="give a GGUF file that is there"):
        load_language_model(tmp_path / "missing.gguf")


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


def test_loading_by_name_leaves_the_bars_as_they_were():
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.is_progress_bar_enabled()
    as_language_model("tiny")
    assert transformers_logging.is_progress_bar_enabled() == before and "transformers" in sys.modules
