"""Files: whole or not at all, the same bytes for the same values, and only files are removed."""

import json
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from keepmap.core.files import (
    folder_written_whole,
    in_one_order,
    make_folder,
    plain,
    remove_files,
    require_folder,
    write_json,
    written_whole,
)
from keepmap.errors import OutputError


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), written_whole(path) as temporary:
        temporary.write_text("half" * (1 // 0))
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "before"
    with written_whole(path) as temporary:
        temporary.write_text("whole")
        assert path.read_text() == "before" and temporary.parent == tmp_path
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "whole"
    with (
        pytest.raises(OutputError, match=r"^cannot write .*b.txt: No such file"),
        written_whole(tmp_path / "no/b.txt") as t,
    ):
        t.write_text("")


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for content in ("first", "second"):
        with folder_written_whole(path) as temporary:
            (temporary / content).touch()
        assert [file.name for file in path.iterdir()] == [content]
    with pytest.raises(ZeroDivisionError), folder_written_whole(path) as temporary:
        (temporary / "third").write_text("x" * (1 // 0))
    assert [file.name for file in tmp_path.iterdir()] == ["run"] and (path / "second").exists()
    with pytest.raises(OutputError, match="^cannot write "), folder_written_whole(tmp_path / "no" / "run"):
        pass


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b") == make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="^cannot write into the folder .*file: .*file is a file, not a folder; name"):
        make_folder(tmp_path / "file")
    require_folder(tmp_path / "a" / "new" / "er", "`out`")
    assert not (tmp_path / "a" / "new").exists()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    kinds = {"file": "a file", "pipe": "a FIFO", "dangling": "a link that leads nowhere"}
    for name, kind in (*kinds.items(), ("pipe/below", "a FIFO")):
        with pytest.raises(
            OutputError, match=f"{name.split('/')[0]} is {kind}, not a folder; name another with `out`$"
        ):
            require_folder(tmp_path / name, "`out`")


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # whoever runs this may be root
    with pytest.raises(OutputError, match=f"out: {tmp_path} is not writable; name another with `out`$"):
        require_folder(tmp_path / "out", "`out`")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1: (1, 2.5), "a": [float("nan"), float("inf"), -float("inf")]}, {"1": [1, 2.5], "a": [None] * 3}),
        (OrderedDict(b=True, a=None), {"b": True, "a": None}),
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        ((np.float32(0.5), np.int64(3), "text"), [0.5, 3, "text"]),
    ],
)
def test_plain_values_are_as_json_has_them(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected
    if isinstance(expected, dict):
        assert list(plain(value)) == list(expected)


def test_json_has_the_same_bytes_for_the_same_values(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "é\n", "a": [1.0, None]})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "b": "é\\n",\n  "a": [\n    1.0,\n    null\n  ]\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    with pytest.raises(OutputError, match="^cannot write "):
        write_json(tmp_path / "no" / "a.json", {})


def test_only_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    remove_files([tmp_path / name for name in ("folder", "file", "none")])
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(self: Path) -> None:
        raise PermissionError(13, os.strerror(13))

    (tmp_path / "file").touch()
    monkeypatch.setattr(Path, "unlink", locked)
    with pytest.raises(OutputError, match="of an earlier run: Permission denied; give another `output_dir`$"):
        remove_files([tmp_path / "file"])


def test_equal_tensors_and_metadata_are_equal_bytes() -> None:
    tensors = {"b": torch.arange(3), "a": torch.ones(2, 2)}
    file = save(tensors, {"x": "1", "y": "2"})
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + size])
    orders = [{key: header[key] for key in keys} for keys in (sorted(header), sorted(header, reverse=True))]
    orders += [{**header, "__metadata__": {"y": "2", "x": "1"}}, {**header, "__metadata__": {"x": "1", "y": "2"}}]
    texts = [json.dumps(order).encode() for order in orders]
    files = [in_one_order(len(text).to_bytes(8, "little") + text + file[8 + size :]) for text in texts]
    assert {*files} == {in_one_order(file)} == {in_one_order(files[0])}
    read = load(files[0])
    assert {*read} == {"a", "b"} and all(torch.equal(read[name], tensors[name]) for name in tensors)
    assert int.from_bytes(files[0][:8], "little") % 8 == 0
