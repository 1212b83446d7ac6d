"""The folder of a training: one process at a time, one run, and what is damaged is one line."""

import json
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from keepmap.core.runs.folder import read_run_file
from keepmap.errors import InputError
from keepmap.kv.surrogate_training.quality import HeldOutText
from keepmap.kv.surrogate_training.state import TrainingFolder, texts_digest, weights_digest
from keepmap.kv.surrogate_training.targets import repeat_context
from tests.kv.surrogate_training.texts import Letters, random_llama

OPTIONS, HASHES = {"kind": "linear"}, {"model": "abc", "data": "def"}
OF_AN_OLDER_KEEPMAP = {"model": "tiny", "facts": {**OPTIONS, "weights": "abc", "texts": "def"}, "versions": {}}


def training(path: Path, kind: str = "linear", *, overwrite: bool = False, **hashes: str) -> TrainingFolder:
    return TrainingFolder(path, {"kind": kind}, HASHES | hashes, overwrite=overwrite)


def enter(folder: TrainingFolder) -> None:
    with folder.opened():
        assert not list(folder.path.glob("*.part"))


def test_what_was_saved_comes_back(tmp_path):
    folder = training(tmp_path / "run")
    with folder.opened():
        assert folder.saved() is None and folder.held_out() == []
        folder.save({"n": torch.tensor([3.0])})
        text = HeldOutText(n=2, error=[[0.5]], y=[[2.0]], yy=[[4.0]])
        folder.save_held_out([text])
    with training(tmp_path / "run").opened():
        held = folder.saved()
        assert held is not None and held["n"].item() == 3 and folder.held_out() == [text]
    folder.tidy()
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", "run.json"]


def test_tidying_leaves_what_is_somebody_elses(tmp_path):
    folder = training(tmp_path)
    folder.rows.mkdir()
    for name in ("000000.inputs.npy", "notes.txt", "mine.npy"):
        (folder.rows / name).touch()
    folder.tidy()
    assert sorted(path.name for path in folder.rows.iterdir()) == ["mine.npy", "notes.txt"]


@pytest.mark.parametrize("name", ["run.json", "rows", "config.json"])
def test_a_link_is_called_a_link(tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text("[]")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "mine" if name == "rows" else tmp_path / "mine" / "run.json")
    with pytest.raises(InputError, match=rf"out/{name} is a symbolic link, and results are not written through one"):
        enter(training(tmp_path / "out"))
    assert (tmp_path / "mine" / "run.json").read_text() == "[]"


def test_two_at_once_are_refused(tmp_path):
    lock = FileLock(tmp_path / ".lock")
    with (
        lock,
        pytest.raises(InputError, match="another `keepmap train-surrogate` is going on in .*, or give another `out`"),
        training(tmp_path).opened(),
    ):
        pass


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds config.json, and no run of keepmap's that made it; give `overwrite`"):
        enter(training(tmp_path))
    assert (tmp_path / "config.json").read_text() == "{}"


def test_another_run_is_refused_and_overwrite_removes_what_was_made(tmp_path):
    enter(training(tmp_path))
    for name in ("rows/000000.inputs.npy", "rows/notes.txt", "notes.txt", "training.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for changed, what in (
        ({"kind": "mlp"}, "`kind` is linear there and mlp here"),
        ({"model": "x"}, "the model has changed"),
        ({"data": "x"}, "the data has changed"),
    ):
        with pytest.raises(InputError, match=f"holds another run: {what}; give `overwrite` to replace it, or another"):
            enter(training(tmp_path, **changed))
    enter(training(tmp_path, "mlp", overwrite=True))
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert left == {"rows/notes.txt", "notes.txt", ".lock", "run.json"}


def test_a_run_file_of_an_older_keepmap_still_says_which_run_it_is(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(OF_AN_OLDER_KEEPMAP))
    (tmp_path / "held_out.json").write_text('{"texts": []}')
    with pytest.raises(InputError, match="holds another run: `kind` is linear there and mlp here; give `overwrite`"):
        enter(training(tmp_path, "mlp"))
    assert json.loads((tmp_path / "run.json").read_text()) == OF_AN_OLDER_KEEPMAP
    enter(training(tmp_path))
    assert read_run_file(tmp_path).finished and (tmp_path / "held_out.json").exists()
    (tmp_path / "run.json").write_text(json.dumps(OF_AN_OLDER_KEEPMAP))
    enter(training(tmp_path, "mlp", overwrite=True))
    assert read_run_file(tmp_path).identity.options == {"kind": "mlp"} and not (tmp_path / "held_out.json").exists()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("run.json", "[]", "run.json is damaged; give `overwrite` to replace it, or another `out`"),
        ("run.json", "{", "run.json is damaged"),
        ("training.safetensors", "cut", "training.safetensors is damaged; delete the folder"),
        ("held_out.json", '{"texts": [{}]}', "held_out.json is damaged; delete it"),
        ("held_out.json", '{"texts": [], "checksum": "0123456789abcdef"}', "held_out.json is damaged; delete it"),
    ],
)
def test_damage_is_one_line(tmp_path, file, text, message):
    folder = training(tmp_path)
    enter(folder)
    (tmp_path / file).write_text(text)
    read = {"run.json": lambda: enter(folder), "training.safetensors": folder.saved, "held_out.json": folder.held_out}
    with pytest.raises(InputError, match=message):
        read[file]()


def test_digests_tell_weights_and_texts_from_others():
    model, other = random_llama(), random_llama()
    assert weights_digest(model) == weights_digest(other)
    with torch.no_grad():
        other.lm_head.weight[0, 0] += 1
    assert weights_digest(model) != weights_digest(other)
    repetitions = [repeat_context(Letters(), text) for text in ("some", "words")]
    assert texts_digest(repetitions) == texts_digest(list(repetitions)) != texts_digest(repetitions[::-1])
