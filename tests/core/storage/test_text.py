"""A file that is one text: read whole, and everything else is one line that names the option."""

import os
from pathlib import Path

import pytest

from keepmap.core.storage.lines import LARGEST_TEXT
from keepmap.core.storage.text import read_text
from keepmap.errors import InputError


def test_a_text_is_read_with_the_same_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffwörds\r\nand\rmore\n".encode())
    assert read_text("prompt_file", tmp_path / "a.txt") == "wörds\nand\nmore\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "no file at .*none: no such file; name one that is there as `prompt_file`"),
        ("folder", "expected `prompt_file` to be a file, got the folder"),
        ("empty", "empty is empty; put a text into it"),
        ("latin", r"latin is not UTF-8 \(byte 2\); save the file as UTF-8"),
        ("large", "large has more than 4 MiB, the most that is read as one text"),
        ("fifo", "cannot read .*fifo: it is a FIFO, not a file"),
    ],
)
def test_what_is_no_text_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "latin").write_bytes(b"w\xf6rds")
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_TEXT + 1)
    with pytest.raises(InputError, match=message):
        read_text("prompt_file", tmp_path / name)
