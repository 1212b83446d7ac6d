"""What a model would take is known from its config, and compared with memory before anything is built."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from keepmap.core.outside.counts import require_counts
from keepmap.core.outside.memory import LAYER
from keepmap.errors import ModelError
from keepmap.language_model import gguf, load_language_model
from keepmap.language_model.sizes import require_memory_for, weight_bytes
from tests.families import FAMILIES, build

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weights_of_every_family_are_counted_exactly(family: str) -> None:
    model = build(family).float()
    layers = model.config.get_text_config().num_hidden_layers
    counted = weight_bytes(model.config, torch.float32) - LAYER * layers
    real = sum(part.nbytes for part in model.parameters())
    assert real <= counted <= real + sum(part.nbytes for part in model.buffers()) + 256
    assert weight_bytes(model.config, torch.float64) > counted


def test_the_format_is_the_asked_the_config_s_or_float32() -> None:
    config = LlamaConfig(hidden_size=64, num_hidden_layers=1, num_attention_heads=4, vocab_size=1000, pad_token_id=0)
    sizes = [weight_bytes(config, dtype) for dtype in (torch.bfloat16, torch.float32, None)]
    assert sizes[1] == sizes[2] > sizes[0]
    config.dtype = torch.bfloat16
    assert weight_bytes(config) == sizes[0]
    config.quantization_config = {"quant_method": "gptq", "bits": 4}
    assert weight_bytes(config) < sizes[0] / 4
    assert config.quantization_config


@pytest.fixture
def folder(tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose weights must not be reached."""

    def loaded(*args: object, **options: object) -> None:
        raise AssertionError("it was built")

    shutil.copytree(model_folder, tmp_path / "model")
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", loaded)
    return tmp_path / "model"


def refusal(folder: Path, **values: object) -> str:
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**content, **values}), encoding="utf-8")
    with pytest.raises(ModelError) as raised:
        load_language_model(folder, device="cpu")
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    "values",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 10**9, "model_type": "qwen2"},  # whose config has a list of them
        {"hidden_size": 10**6, "num_attention_heads": 10, "head_dim": 10**5},
        {"hidden_size": 10**12},
        {"hidden_size": 10**30},
        {"vocab_size": 10**12},
        {"intermediate_size": 10**12},
        {"head_dim": 10**10},
        {"model_type": "gpt2", "max_position_embeddings": 10**12},
        {"model_type": "mixtral", "num_local_experts": 10**9},
        {"text_config": {"num_layers": 10**9}},
    ],
    ids=str,
)
def test_a_size_beyond_memory_is_one_line_with_both_numbers(folder: Path, values: dict[str, object]) -> None:
    message = refusal(folder, **values)
    assert " would take " in message and ", and there is " in message and "; correct its config" in message


def test_ten_million_layers_are_more_than_a_small_machine_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepmap.core.outside.memory.memory_there_is", lambda: 2**36)
    assert "num_hidden_layers 10,000,000 would take 153 GiB of memory" in refusal(folder, num_hidden_layers=10**7)
    monkeypatch.setattr("keepmap.core.outside.memory.memory_there_is", lambda: 2**60)
    assert "its config names 9,000 layers, and its files hold 21 tensors" in refusal(folder, num_hidden_layers=9000)


def test_more_layers_than_any_model_has_are_refused_before_a_config_is_made_of_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepmap.core.outside.memory.memory_there_is", lambda: 2**60)
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", None)  # it takes three seconds
    message = refusal(folder, model_type="qwen2", num_hidden_layers=10**6)
    assert "expected the num_hidden_layers of model" in message and "to be 10,000 at most, got 1,000,000; " in message
    require_counts([("num_experts", 10**6), ("n_layer", 10_000)], "m")


def test_files_beyond_memory_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(2**42)
    assert "model.safetensors would take 4 TiB of memory" in refusal(folder)
    with (folder / "config.json").open("r+b") as file:
        file.truncate(2**30)
    with pytest.raises(ModelError, match=r"its config.json is larger than 16 MiB"):
        load_language_model(folder)


def test_a_gpu_has_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        total_memory = 2**16

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: Properties)
    config = build("llama").config
    require_memory_for(config, (), "m", None, CPU)
    with pytest.raises(ModelError, match=r"would take .* KiB of memory, and the GPU has 64 KiB; take a smaller model"):
        require_memory_for(config, (), "m", None, torch.device("cuda", 0))


@pytest.mark.skipif(not find_spec("gguf"), reason="the extra gguf is not installed")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"block_count": 4 * 10**9}, "with llama.block_count 4,000,000,000 would take 59.6 TiB"),
        ({"feed_forward_length": 4 * 10**9}, "would take .* of memory, and there is .*; correct its config"),
        ({"tensor": 10**10}, "in float32 would take 74.5 GiB of memory"),
    ],
    ids=str,
)
def test_a_gguf_file_is_measured_before_it_is_read(
    tmp_path: Path, values: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gguf import GGUFWriter

    monkeypatch.setattr("keepmap.core.outside.memory.memory_there_is", lambda: 2**36)
    sizes = {"block_count": 1, "context_length": 64, "embedding_length": 32, "feed_forward_length": 64, "head_count": 4}
    writer = GGUFWriter(str(tmp_path / "model.gguf"), "llama")
    for key, value in {**sizes, **values}.items():
        writer.add_uint32(f"llama.{key}", min(value, 2**32 - 1))
    writer.add_layer_norm_rms_eps(1e-5)
    elements = values.get("tensor", 32)
    writer.add_tensor_info("token_embd.weight", (elements,), torch.zeros(1).numpy().dtype, elements * 4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with (tmp_path / "model.gguf").open("r+b") as file:
        file.truncate(file.seek(0, 2) + elements * 4 + 1024)
    with pytest.raises(ModelError, match=message):
        gguf.read_model(tmp_path / "model.gguf", "m")
