"""Records are whole, synced and checked, or they do not count."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.core.runs.records import read_record, sync, write_record
from keepmap.errors import OutputError

CONTENT = {"nll": 0.1 + 0.2, "method": "h2o", "entries": {"kept": 3}}


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", "ab12", CONTENT)
    assert read_record(tmp_path / "a.json") == read_record(tmp_path / "a.json", "ab12") == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_record_of_another_run_does_not_count(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", "ab12", CONTENT)
    assert read_record(tmp_path / "a.json", "cd34") is None
    assert read_record(tmp_path / "b.json") is None


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: float, bit: int) -> None:
    path = tmp_path_factory.mktemp("records") / "a.json"
    write_record(path, "ab12", CONTENT)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    assert read_record(path) in (None, CONTENT)  # white space carries nothing


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run": 1, "checksum": 2}', "[" * 10**5])
def test_what_is_none_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    assert read_record(tmp_path / "a.json") is None


def test_it_is_synced_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def see(handle: int) -> None:
        seen.append((os.readlink(f"/proc/self/fd/{handle}").endswith(".part"), (tmp_path / "a.json").exists()))

    monkeypatch.setattr(os, "fsync", see)
    write_record(tmp_path / "a.json", "ab12", CONTENT)
    assert seen == [(True, False), (False, True)]


def test_a_disk_that_refuses_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuses)
    with pytest.raises(OutputError, match=r"cannot write .*a.json: No space left on device"):
        write_record(tmp_path / "a.json", "ab12", CONTENT)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="No space left"):
        sync(tmp_path)
