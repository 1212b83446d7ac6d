"""One file, whole or not at all: what is written is what is read, and what is no profile is one line."""

import json
from dataclasses import fields, replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from keepmap.attention.landmarks import Landmarks
from keepmap.attention.profile_file import FORMAT, read, write
from keepmap.attention.profiling import profile_attention
from keepmap.core.storage.tensors import read_labelled, write_labelled
from keepmap.errors import InputError, OutputError
from tests.drawing.profiles import Chosen


@pytest.fixture(scope="module")
def profile():
    logits = torch.randn(12, 12, generator=torch.Generator().manual_seed(0))
    marks = Landmarks(episodes=(1,) * 12, steps=tuple(range(1, 13)), rewards=(0.5,) * 11 + (None,))
    return replace(profile_attention(Chosen(logits), None), landmarks=marks, labels=tuple("abcdefghijkl"))


def test_every_part_but_what_was_captured_comes_back(profile, tmp_path):
    profile.save(tmp_path / "profile")
    parts = read(tmp_path / "profile")
    assert set(parts) == {field.name for field in fields(profile)} - {"captured"}
    for name, value in parts.items():
        own = getattr(profile, name)
        if isinstance(own, torch.Tensor):
            torch.testing.assert_close(value, own, rtol=0, atol=0, equal_nan=True)
        else:
            assert value == own and type(value) is type(own)


def test_the_header_names_the_format_and_is_json(profile, tmp_path):
    profile.save(tmp_path / "profile")
    with safe_open(tmp_path / "profile", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "keepmap-attention/2"
    assert json.loads(metadata["about"])["window"] == profile.window


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not 'keepmap-attention/2'"),
        ({"format": "keepmap-attention/3"}, "it has version 3 of its format, this keepmap reads 2"),
        ({"format": "keepmap-attention/2"}, "about"),
        ({"format": "keepmap-attention/2", "about": "{"}, "damaged"),
    ],
    ids=["another file", "a later format", "nothing about it", "damaged JSON"],
)
def test_other_files_are_one_line(tmp_path, metadata, message):
    save_file({"rows": torch.ones(1)}, tmp_path / "file", metadata)
    with pytest.raises(InputError, match=message) as raised:
        read(tmp_path / "file")
    assert str(tmp_path / "file") in str(raised.value)


def test_what_is_not_there_is_neither_read_nor_written(profile, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        profile.save(tmp_path / "file" / "profile")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(("name", "dtype"), [("entropy", torch.int64), ("queries", torch.float32)])
def test_tensors_of_other_types_are_refused(profile, tmp_path, name, dtype):
    parts = {field.name: getattr(profile, field.name) for field in fields(profile)}
    write(parts | {name: parts[name].nan_to_num().to(dtype)}, tmp_path / "profile")
    with pytest.raises(InputError, match=f"is damaged: its {name} are of torch"):
        read(tmp_path / "profile")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"episodes": (float("nan"),) * 12}, "episodes"),
        ({"steps": ("first",) * 12}, "steps"),
        ({"rewards": (float("inf"),) * 12}, "rewards"),
        ({"rewards": (0.5,) * 11}, "its landmarks are not of 12 positions"),
    ],
    ids=["no number", "a text", "infinite", "too few"],
)
def test_landmarks_that_cannot_be_are_refused(profile, tmp_path, changed, message):
    profile.save(tmp_path / "first")
    about, tensors = read_labelled(tmp_path / "first", FORMAT)
    about["landmarks"] |= changed
    write_labelled(tmp_path / "profile", FORMAT, about, tensors, kind="a profile")
    with pytest.raises(InputError, match=f"is damaged: .*{message}"):
        read(tmp_path / "profile")
