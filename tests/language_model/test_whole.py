"""A model with missing weights, which transformers would make up, is refused; so are layers that a config forgets."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from keepmap.errors import ModelError
from keepmap.language_model import load_language_model


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (lambda name: None if name == "model.layers.1.mlp.up_proj.weight" else name, "lack model.layers.1.mlp.up_proj"),
        (lambda name: None if name == "model.norm.weight" else name, "its files lack model.norm.weight, which its"),
        (lambda name: f"x.{name}", r"lack \S+ and \d+ more weights, which its config asks for; save or down"),
        (lambda name: name, None),
    ],
    ids=["one", "norm", "all", "none"],
)
def test_weights_are_not_made_up(
    model_folder: Path, tmp_path: Path, rename: Callable[[str], str | None], message: str | None
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    weights: dict[str, Tensor] = load_file(folder / "model.safetensors")
    kept = {new: tensor for name, tensor in weights.items() if (new := rename(name)) is not None}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    if message is None:
        assert load_language_model(folder, device="cpu").model is not None
    else:
        with pytest.raises(ModelError, match=message):
            load_language_model(folder, device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": -1}, r'expected the num_hidden_layers of model "\S+" to be 0 or more, got -1; correct'),
        ({"num_hidden_layers": 1}, "and its config has 1 layer; correct its config"),
        ({"num_hidden_layers": 3}, r"its files lack model\.layers\.2\.\S+ and \d+ more weights"),
    ],
    ids=str,
)
def test_layers_are_neither_added_nor_left_out(
    model_folder: Path, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load_language_model(folder, device="cpu")
