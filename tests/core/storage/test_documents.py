"""A document is read as it was written, or not at all; those of earlier versions have no checksum, and read."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.core.storage.documents import checksum, read_document, with_checksum, write_document

CONTENT = {"mean": 0.1 + 0.2, "by_layer": {10: [1, 2.5], 9: None}, "name": "é\u2028", "pair": (1, 2)}
READ = {"mean": 0.1 + 0.2, "by_layer": {"10": [1, 2.5], "9": None}, "name": "é\u2028", "pair": [1, 2]}


def test_it_is_read_as_it_was_written_and_the_checksum_comes_last(tmp_path: Path) -> None:
    write_document(tmp_path / "a.json", CONTENT)
    assert read_document(tmp_path / "a.json") == READ
    written = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [*written] == [*CONTENT, "checksum"] and written["checksum"] == checksum(CONTENT) == checksum(READ)
    (tmp_path / "a.json").write_text(json.dumps(written, indent=None, sort_keys=True))
    assert read_document(tmp_path / "a.json") == READ  # white space and order carry nothing


def test_one_of_an_earlier_version_and_one_that_is_no_object_are_read_as_they_are(tmp_path: Path) -> None:
    for value in (READ, [1], None, "checksum"):
        (tmp_path / "a.json").write_text(json.dumps(value))
        assert read_document(tmp_path / "a.json") == value


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: float, bit: int) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.json"
    write_document(path, READ)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        values = read_document(path)
    except ValueError:
        return
    # Where the checksum has lost its name, it is a key among others.
    assert values == READ or {key: values[key] for key in READ} == READ


def test_what_is_nested_as_deeply_as_can_be_read_is_one_line(tmp_path: Path) -> None:
    assert with_checksum({"a": []})["checksum"] == checksum({"a": []})
    for depth in (100_000, *range(900, 1000, 3)):
        (tmp_path / "a.json").write_text('{"checksum": "ab", "a": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(ValueError, match=r"nested too deeply|its checksum is not that of what it holds"):
            read_document(tmp_path / "a.json")
