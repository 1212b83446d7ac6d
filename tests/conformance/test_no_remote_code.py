"""Nothing of a model's, a tokenizer's or a surrogate's folder is run, and nobody is asked whether it may be."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from keepmap.cli import main

CODE = """
from pathlib import Path
Path(__file__).with_name("marker").touch()
Path({marker!r}).touch()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
class OwnTokenizer(PreTrainedTokenizerFast):
    pass
def generate(*args, **kwargs):
    pass
"""


def changed(path: Path, **values: object) -> None:
    """The JSON file with these values."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What is there as soon as any of the code has run."""
    return tmp_path / "marker"


@pytest.fixture
def folder(tmp_path: Path, model_folder: Path, marker: Path) -> Path:
    """A model that works, with files of code beside it."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "custom_generate").mkdir()
    for file in ("own.py", "custom_generate/generate.py", "__init__.py", "modeling_llama.py"):
        (folder / file).write_text(CODE.format(marker=str(marker)), encoding="utf-8")
    return folder


MODEL = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
TOKENIZER = {"AutoTokenizer": ["own.OwnTokenizer", "own.OwnTokenizer"]}


def own_model(folder: Path) -> None:
    """An architecture that only the folder knows."""
    changed(folder / "config.json", auto_map=MODEL | TOKENIZER, model_type="own", architectures=["OwnModel"])


def own_code_of_a_known_model(folder: Path) -> None:
    """An architecture that transformers has too: its own class is taken."""
    changed(folder / "config.json", auto_map=MODEL)


def own_code_elsewhere(folder: Path) -> None:
    """Code that another folder holds."""
    there = {name: f"{folder}--{place}" for name, place in MODEL.items()}
    changed(folder / "config.json", auto_map=there, model_type="own", architectures=["OwnModel"])


def own_tokenizer(folder: Path) -> None:
    """A tokenizer class that only the folder knows."""
    changed(folder / "tokenizer_config.json", auto_map=TOKENIZER, tokenizer_class="OwnTokenizer")


def own_tokenizer_by_the_config(folder: Path) -> None:
    """The same, named by the model's config alone."""
    (folder / "tokenizer_config.json").unlink()
    changed(folder / "config.json", auto_map=TOKENIZER)


CASES = {
    case.__name__: case
    for case in (
        own_model, own_code_of_a_known_model, own_code_elsewhere, own_tokenizer, own_tokenizer_by_the_config,
    )
}  # fmt: skip
REFUSED = ("own_model", "own_code_elsewhere", "own_tokenizer")


@pytest.mark.parametrize("case", CASES)
def test_a_folder_with_code_is_refused_or_read_without_it(
    case: str, folder: Path, marker: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch, capfd, tmp_path: Path
) -> None:
    CASES[case](folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 100))
    words = ["--methods", "random", "--max_samples", "1", "--output_dir", str(tmp_path / "out"), "--no_visualize"]
    code = main(["compare", "--model_name", str(folder), "--data_path", str(data_file), *words])
    out, err = capfd.readouterr()
    assert not marker.exists() and not (folder / "marker").exists()
    assert "[y/N]" not in out + err
    if case in REFUSED:
        assert (code, err.count("\n")) == (2, 1) and err.startswith("error: cannot load the ")
        assert ("keepmap runs none" in err) == (case != "own_code_elsewhere") and not (tmp_path / "out").exists()
    else:
        assert code in (0, 2)


def test_code_beside_a_surrogate_is_not_run(
    folder: Path, marker: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch, capfd, tmp_path: Path
) -> None:
    surrogate = tmp_path / "surrogate"
    surrogate.mkdir()
    (surrogate / "own.py").write_text(CODE.format(marker=str(marker)), encoding="utf-8")
    sizes = {"input_dim": 32, "output_dim": 2, "n_modules": 2, "hidden_dim": None}
    changed(surrogate / "config.json", auto_map={"AutoModel": "own.OwnModel"}, model_type="own", **sizes)
    shutil.copyfile(folder / "model.safetensors", surrogate / "model.safetensors")
    own_tokenizer(folder)
    words = ["--methods", "kvzap", "--kvzap_scorer_model", str(surrogate), "--output_dir", str(tmp_path / "out")]
    for model in ("tiny", str(folder)):
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 100))
        code = main(["compare", "--model_name", model, "--data_path", str(data_file), *words])
        out, err = capfd.readouterr()
        assert (code, err.count("\n")) == (2, 1), err
        assert "[y/N]" not in out + err
        assert not marker.exists() and not (surrogate / "marker").exists() and not (folder / "marker").exists()
