"""The folder of a training: one process at a time, one run, and what is damaged is one line."""

import pytest
import torch
from filelock import FileLock

from keepmap.errors import InputError
from keepmap.kv.surrogate_training.quality import HeldOutText
from keepmap.kv.surrogate_training.state import TrainingFolder, texts_digest, weights_digest
from keepmap.kv.surrogate_training.targets import repeat_context
from tests.kv.surrogate_training.texts import Letters, random_llama

FACTS = {"kind": "linear", "weights": "abc"}


def test_what_was_saved_comes_back(tmp_path):
    folder = TrainingFolder(tmp_path / "run", "tiny", FACTS)
    with folder.opened():
        assert folder.saved() is None and folder.held_out() == []
        folder.save({"n": torch.tensor([3.0])})
        text = HeldOutText(n=2, error=[[0.5]], y=[[2.0]], yy=[[4.0]])
        folder.save_held_out([text])
    with TrainingFolder(tmp_path / "run", "another name", FACTS).opened():
        held = folder.saved()
        assert held is not None and held["n"].item() == 3 and folder.held_out() == [text]
    folder.tidy()
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", "run.json"]


def test_two_at_once_are_refused(tmp_path):
    lock = FileLock(tmp_path / ".lock")
    with (
        lock,
        pytest.raises(InputError, match="another training is going on in .*; wait for it, or give another `out`"),
        TrainingFolder(tmp_path, "tiny", FACTS).opened(),
    ):
        pass


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with (
        pytest.raises(InputError, match=r"holds config.json of something else; give another `out`"),
        TrainingFolder(tmp_path, "tiny", FACTS).opened(),
    ):
        pass
    assert (tmp_path / "config.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("run.json", "[]", "run.json is damaged; give another `out`"),
        ("run.json", "{", "run.json is damaged"),
        ("training.safetensors", "cut", "training.safetensors is damaged; delete the folder"),
        ("held_out.json", '{"texts": [{}]}', "held_out.json is damaged; delete it"),
    ],
)
def test_damage_is_one_line(tmp_path, file, text, message):
    folder = TrainingFolder(tmp_path, "tiny", FACTS)

    def enter():
        with folder.opened():
            pass

    enter()
    (tmp_path / file).write_text(text)
    read = {"run.json": enter, "training.safetensors": folder.saved, "held_out.json": folder.held_out}
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
