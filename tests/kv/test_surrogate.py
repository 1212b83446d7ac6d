"""KVzap surrogates: the layout of the published checkpoints, what is refused, and whose they are."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, LlamaConfig

from keepmap.errors import ModelError
from keepmap.kv.surrogate import MODULE, KVzapSurrogate, SurrogateConfig, find_surrogate, load_surrogate, norms_digest
from keepmap.language_model import EMBEDDED, load_language_model
from tests.kv.surrogate_training.texts import random_llama

SIZES = {"linear": SurrogateConfig(8, 2, 3), "mlp": SurrogateConfig(8, 2, 3, hidden_dim=5)}


@pytest.mark.parametrize("kind", SIZES)
def test_saved_and_loaded_again(tmp_path, kind):
    surrogate = KVzapSurrogate(SIZES[kind])
    surrogate.save(tmp_path)
    loaded = load_surrogate(tmp_path)
    hidden = torch.randn(7, 3, 8)
    assert loaded.config == surrogate.config
    assert torch.equal(loaded(hidden), surrogate(hidden))
    assert torch.equal(loaded.score(1, hidden[:, 1]), surrogate(hidden)[:, 1])
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert load_surrogate(str(tmp_path), dtype=torch.bfloat16).score(0, hidden[:, 0]).dtype == torch.bfloat16


@pytest.mark.parametrize("hidden_dim", [None, 5])
def test_a_checkpoint_of_nvidia_loads(tmp_path, hidden_dim):
    config = {
        "architectures": ["KVzapModel"], "dtype": "bfloat16", "hidden_dim": hidden_dim, "input_dim": 8,
        "model_type": "kvzap", "n_modules": 3, "output_dim": 2, "transformers_version": "4.57.1",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {}
    for layer in range(3):
        if hidden_dim is None:
            shapes = {"weight": (2, 8), "bias": (2,)}
        else:
            shapes = {"0.weight": (5, 8), "0.bias": (5,), "2.weight": (2, 5), "2.bias": (2,)}
        tensors |= {f"layers.{layer}.{name}": torch.randn(shape).bfloat16() for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = load_surrogate(tmp_path)
    weight = tensors["layers.1.weight" if hidden_dim is None else "layers.1.2.weight"]
    assert any(torch.equal(parameter, weight.float()) for parameter in loaded.parameters())
    assert loaded.config.kind == ("linear" if hidden_dim is None else "mlp")
    assert loaded(torch.randn(4, 3, 8)).shape == (4, 3, 2)


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path):
    def refused(match, folder=tmp_path):
        with pytest.raises(ModelError, match=match) as error:
            load_surrogate(folder)
        assert "\n" not in str(error.value)

    refused("is not a folder", tmp_path / "nowhere")
    refused("is not a folder", str(tmp_path / "nowhere"))
    refused("it has no config.json")
    KVzapSurrogate(SIZES["linear"]).save(tmp_path)
    good_config, good_weights = (tmp_path / "config.json").read_text(), (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "config.json").write_text("{")
    refused(r"cannot read .*config.json \(.*\); download the surrogate again, or train it again$")
    (tmp_path / "config.json").write_text("[]")
    refused("not a JSON object")
    (tmp_path / "config.json").write_text(good_config.replace('"input_dim": 8', '"input_dim": 9'))
    refused(r"cannot read .*config.json \(its checksum is not that of what it holds\)")
    good = json.loads(good_config)
    del good["checksum"]
    good_config = json.dumps(good)
    (tmp_path / "config.json").write_text(good_config.replace("n_modules", "modules"))
    refused("has no 'n_modules'")
    (tmp_path / "config.json").write_text(good_config.replace('"n_modules": 3', '"n_modules": -3'))
    refused("n_modules is -3")
    (tmp_path / "config.json").write_text(good_config.replace('"input_dim": 8', '"input_dim": 9'))
    refused(r"layers.0.weight should be \[2, 9\], found \[2, 8\]")
    (tmp_path / "config.json").write_text(good_config)
    (tmp_path / "model.safetensors").write_bytes(good_weights[:-5])
    refused("damaged")
    (tmp_path / "model.safetensors").write_bytes(b"pickle")
    refused("damaged")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    refused("has no model.safetensors; other formats are not loaded")


def test_a_hub_that_fails_is_said_in_one_line(monkeypatch):
    def fail(name, **options):
        assert name == "nvidia/KVzap-none"
        raise OSError("no such repository\nand a long explanation")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelError, match=r"nvidia/KVzap-none .*\(no such repository\)"):
        load_surrogate("nvidia/KVzap-none")


def test_a_hub_repository_loads_like_a_folder(monkeypatch, tmp_path):
    KVzapSurrogate(SIZES["mlp"]).save(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **options: str(tmp_path))
    assert load_surrogate("nvidia/KVzap-some").config == SIZES["mlp"]


def test_sizes_that_do_not_fit_the_model():
    config = random_llama().config
    KVzapSurrogate(SurrogateConfig(32, 2, 2)).require_fit(config)
    with pytest.raises(ModelError, match=r"\(2, 32, 4\), the model \(2, 32, 2\)"):
        KVzapSurrogate(SurrogateConfig(32, 4, 2)).require_fit(config)


def test_a_model_is_known_by_its_vectors_whatever_its_matrices_went_through(tmp_path):
    model, other = random_llama(), random_llama()
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if weight.ndim > 1:
                weight.copy_((weight * 8).round() / 8)  # quantised
            else:
                model.get_parameter(name).add_(torch.linspace(0, 1, len(weight)).bfloat16())
                weight.copy_(model.get_parameter(name))
    assert norms_digest(model) == norms_digest(other) == norms_digest(other.bfloat16())
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "none"]
    surrogate = KVzapSurrogate(SurrogateConfig(32, 2, 2))
    surrogate.save(folders[0])
    surrogate.save(folders[1], load_language_model(model))
    assert find_surrogate(folders, other) == folders[1]
    assert find_surrogate(folders, random_llama()) is None
    assert json.loads((folders[1] / "config.json").read_text())["trained_for"]["name"] == "LlamaForCausalLM"
    assert load_surrogate(folders[1]).config == surrogate.config
    assert norms_digest(torch.nn.Linear(3, 2, bias=False)) is None


def test_the_same_surrogate_is_the_same_bytes(tmp_path):
    surrogate = KVzapSurrogate(SIZES["mlp"])
    for name in ("a", "b"):
        surrogate.save(tmp_path / name)
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_embedded_surrogates_fit_the_embedded_model(kind):
    folder = EMBEDDED["tiny"]
    surrogate = load_surrogate(folder / f"kvzap-{kind}")
    surrogate.require_fit(AutoConfig.from_pretrained(folder))
    assert surrogate.config.kind == kind
    assert set(load_file(folder / f"kvzap-{kind}" / "model.safetensors")) == set(surrogate.state_dict())


def test_the_surrogate_of_smollm2_is_small_and_fits():
    folder = EMBEDDED["tiny"].parent / "smollm2" / "kvzap-linear"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 300_000
    sizes = LlamaConfig(num_hidden_layers=30, hidden_size=576, num_attention_heads=9, num_key_value_heads=3)
    load_surrogate(folder).require_fit(sizes)
    trained_for = json.loads((folder / "config.json").read_text(encoding="utf-8"))["trained_for"]
    assert trained_for["name"] == "smollm2" and len(trained_for["norms"]) == 64


@pytest.mark.parametrize("hidden_dim", [None, 7])
def test_its_size_is_known_before_it_is_built(hidden_dim):
    config = SurrogateConfig(input_dim=12, output_dim=3, n_modules=4, hidden_dim=hidden_dim)
    weights = sum(part.nbytes for part in KVzapSurrogate(config).parameters())
    assert config.bytes == weights + 4 * MODULE


@pytest.mark.parametrize("name", ["input_dim", "output_dim", "n_modules", "hidden_dim"])
def test_a_size_beyond_memory_is_one_line_with_both_numbers(tmp_path, name, monkeypatch):
    KVzapSurrogate(SurrogateConfig(input_dim=12, output_dim=3, n_modules=2, hidden_dim=5)).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["checksum"]
    (tmp_path / "config.json").write_text(json.dumps({**config, name: 10**12}))
    monkeypatch.setattr("keepmap.kv.surrogate.KVzapSurrogate", None)
    with pytest.raises(ModelError, match=r"would take .* of memory, and there is .*; correct its config.json$"):
        load_surrogate(tmp_path)
