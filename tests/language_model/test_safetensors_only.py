"""Weights are safetensors of the model's own folder or repository; nothing else is opened."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from keepmap.errors import ModelError
from keepmap.language_model import load_language_model
from keepmap.language_model.safetensors_only import require_own_attention, weight_files

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose weights are a pickle too, which must not be opened."""

    def opened(*args: object, **options: object) -> None:
        raise AssertionError("a pickle was opened")

    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    shutil.copyfile(folder / "pytorch_model.bin", folder / "adapter_model.bin")
    monkeypatch.setattr(torch, "load", opened)
    return folder


def write_index(folder: Path, *shards: object) -> None:
    """An index of all tensors, dealt out to these files, in the place of the one file."""
    names = sorted(load_file(folder / "model.safetensors"))
    weight_map = {name: shards[number % len(shards)] for number, name in enumerate(names)}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8")
    (folder / "model.safetensors").unlink()


def set_config(folder: Path, **values: object) -> None:
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**content, **values}), encoding="utf-8")


def refusal(source: Path | str) -> str:
    with pytest.raises(ModelError) as raised:
        load_language_model(source, device="cpu")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_shards_of_safetensors_are_loaded(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    half = dict(sorted(tensors.items())[::2])
    save_file(half, folder / "model-1.safetensors", {"format": "pt"})
    save_file({name: tensors[name] for name in tensors.keys() - half}, folder / "model-2.safetensors", {"format": "pt"})
    write_index(folder, "model-1.safetensors", "model-2.safetensors")
    loaded = load_language_model(folder, device="cpu").model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    files = weight_files(folder, AutoConfig.from_pretrained(folder), "m", {})
    assert [file.name for file in files] == ["model-1.safetensors", "model-2.safetensors"]


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        ("pytorch_model.bin", "names 'pytorch_model.bin' as weights, which is not a safetensors file"),
        ("model.safetensors.bin", "not a safetensors file"),
        ("../pytorch_model.bin", "not a safetensors file"),
        ("../model.safetensors", "must lie in its own folder"),
        ("/tmp/model.safetensors", "must lie in its own folder"),
        ("sub\\model.safetensors", "must lie in its own folder"),
        ("..safetensors", "must lie in its own folder"),
        (3, "names 3 as weights"),
        (["model.safetensors"], "damaged"),
    ],
)
def test_an_index_names_safetensors_of_its_own_folder(folder: Path, shard: object, message: str) -> None:
    write_index(folder, shard)
    assert message in refusal(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 3}', "[" * 100_000])
def test_a_damaged_index_is_one_line(folder: Path, content: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / INDEX).write_text(content, encoding="utf-8")
    assert f"its {INDEX} is damaged" in refusal(folder)


def test_an_endless_index_is_not_read(folder: Path) -> None:
    with (folder / INDEX).open("wb") as file:
        file.truncate(2**40)
    assert "larger than 64 MiB" in refusal(folder)


@pytest.mark.parametrize("named", ["adapter_model.bin", "pytorch_model.bin", "../x.safetensors", 3, ""])
def test_a_config_names_safetensors_of_its_own_folder(folder: Path, named: object) -> None:
    set_config(folder, transformers_weights=named)
    assert "as weights" in refusal(folder)


def test_a_config_may_name_a_safetensors_file(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "mine.safetensors")
    assert "has no model.safetensors.index.json and no model.safetensors" in refusal(folder)
    set_config(folder, transformers_weights="mine.safetensors")
    assert load_language_model(folder, device="cpu").n_layers == 2


def test_an_adapter_is_no_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "another/model"}', encoding="utf-8")
    assert "has an adapter beside it (adapter_config.json)" in refusal(folder)


def test_no_program_of_a_hub_is_its_attention(folder: Path) -> None:
    set_config(folder, attn_implementation="somebody/kernel")
    assert 'asks for the program "somebody/kernel" as its attention' in refusal(folder)
    set_config(folder, attn_implementation="eager", experts_implementation="somebody/mixture")
    with pytest.raises(ModelError, match="somebody/mixture"):
        require_own_attention(AutoConfig.from_pretrained(folder), "m")


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same model as a repository `somebody/model` that was downloaded once; the snapshot's folder."""
    from huggingface_hub import constants

    repository = tmp_path / "hub" / "models--somebody--model"
    snapshot = repository / "snapshots" / ("0123456789" * 4)
    shutil.copytree(folder, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path / "hub")
    return snapshot


def test_a_repository_is_loaded_as_its_folder_is(hub: Path, model_folder: Path) -> None:
    loaded = load_language_model("somebody/model", device="cpu")
    assert torch.equal(
        loaded.model.state_dict()["lm_head.weight"], load_file(model_folder / "model.safetensors")["lm_head.weight"]
    )


def test_a_repository_whose_index_names_a_pickle_is_refused(hub: Path) -> None:
    write_index(hub, "pytorch_model.bin")
    assert "names 'pytorch_model.bin' as weights" in refusal("somebody/model")


def test_a_repository_of_pickles_is_refused(hub: Path) -> None:
    (hub / "model.safetensors").unlink()
    assert "has no model.safetensors.index.json and no model.safetensors" in refusal("somebody/model")


def test_a_repository_that_is_not_there_is_one_line(hub: Path) -> None:
    assert 'cannot load the config of model "somebody/other"' in refusal("somebody/other")
