"""The index says how long units took, as far as it is whole."""

import json
from pathlib import Path

import pytest

from keepmap.core.runs.index import INDEX, add_to_index, complete_index, read_index
from keepmap.errors import OutputError


def test_the_last_entry_counts_and_a_torn_one_does_not(tmp_path: Path) -> None:
    assert read_index(tmp_path) == {}
    for unit, seconds in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        add_to_index(tmp_path, unit, seconds)
    with (tmp_path / INDEX).open("ab") as file:
        file.write(b'[1]\n{"unit": "c"}\n\xff\n{"unit": "b", "sec')
        file.write(b'\n{"unit": "b", "seconds": ' + b"1" * 400 + b"}")
    assert read_index(tmp_path) == {"a": 3.0, "b": 2.0}


def test_lines_that_were_lost_are_added_and_no_others(tmp_path: Path) -> None:
    add_to_index(tmp_path, "a", 1.0)
    with (tmp_path / INDEX).open("ab") as file:
        file.write(b'{"unit": "b", "sec')
    complete_index(tmp_path, ["a", "b", "c"])
    lines = (tmp_path / INDEX).read_text().splitlines()
    assert [json.loads(lines[at]) for at in (0, 2, 3)] == [
        {"unit": "a", "seconds": 1.0},
        {"unit": "b", "seconds": None},
        {"unit": "c", "seconds": None},
    ]
    complete_index(tmp_path, ["a", "b", "c"])
    assert (tmp_path / INDEX).read_text().splitlines() == lines
    assert read_index(tmp_path) == {"a": 1.0}
    add_to_index(tmp_path, "b", 2.0)
    add_to_index(tmp_path, "b", None)
    assert read_index(tmp_path) == {"a": 1.0, "b": 2.0}


def test_an_index_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*index.jsonl"):
        add_to_index(tmp_path / "nothing", "a", 1.0)
