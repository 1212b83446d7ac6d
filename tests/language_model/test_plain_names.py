"""The library of tokenizers prints names of its files itself, to the terminal: odd ones are refused before it reads."""

import json
import shutil
from pathlib import Path

import pytest

from keepmap.errors import ModelError
from keepmap.language_model import load_language_model
from keepmap.language_model.plain_names import require_plain_names

ODD = "\x1b]0;title\x07\x1b[31m"


@pytest.fixture
def folder(tmp_path: Path, model_folder: Path) -> Path:
    """A model of its own."""
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def name_in(folder: Path, file: str, token: dict[str, object], key: str) -> None:
    """Say this of a token in a file of the tokenizer's."""
    path = folder / file
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(content | {key: {"0": token} if "decoder" in key else [token]}), encoding="utf-8")


@pytest.mark.parametrize("name", [ODD, "\u202e", "a\nb"])
@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("tokenizer_config.json", "added_tokens_decoder"),
        ("tokenizer_config.json", "extra_special_tokens"),
        ("special_tokens_map.json", "additional_special_tokens"),
    ],
)
def test_names_that_a_terminal_obeys_are_refused_unprinted(folder: Path, file: str, key: str, name: str, capfd) -> None:
    name_in(folder, file, {"content": "<x>", name: 1, "__type": "AddedToken"}, key)
    with pytest.raises(ModelError, match=f"its {file} has the name '.*', which cannot be printed") as raised:
        load_language_model(str(folder), device="cpu")
    assert name not in str(raised.value)
    assert name not in "".join(capfd.readouterr())


def test_a_tokenizer_of_a_loaded_model_is_looked_at_too(folder: Path, capfd) -> None:
    from transformers import AutoModelForCausalLM

    name_in(folder, "tokenizer_config.json", {"content": "<x>", ODD: 1}, "added_tokens_decoder")
    assert load_language_model(AutoModelForCausalLM.from_pretrained(folder)).tokenizer is None
    assert ODD not in "".join(capfd.readouterr())


def test_other_names_and_all_tokens_pass(folder: Path) -> None:
    name_in(folder, "tokenizer_config.json", {"content": ODD, "special": True}, "added_tokens_decoder")
    assert load_language_model(str(folder), device="cpu").tokenizer is not None


def test_a_file_that_is_damaged_or_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "special_tokens_map.json").write_text("[" * 100_000)
    require_plain_names(folder, "model")
    monkeypatch.setattr("keepmap.language_model.plain_names.LARGEST", 10)
    with pytest.raises(ModelError, match=r'tokenizer "model": its tokenizer_config.json is larger than 64 MiB'):
        require_plain_names(folder, "model")
