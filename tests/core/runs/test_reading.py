"""A run's records as one table: while it goes on, after it was stopped, and where some of it is damaged."""

import json
from pathlib import Path

import pytest

from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.index import add_to_index
from keepmap.core.runs.reading import read_run
from keepmap.core.runs.records import write_record
from keepmap.errors import InputError

IDENTITY = Identity(verb="compare", options={"density": 0.2}, versions={}, hashes={})
UNITS = ("a.json", "b.json", "c.json", "d.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with two whole records of four, another run's, and a damaged one; each of other values."""
    with RunFolder(tmp_path, IDENTITY, overwrite=False) as place:
        place.begin(UNITS, ["result.json"])
        write_record(tmp_path / "a.json", place.run, {"format": "f", "nll": 1.5, "entries": {"kept": 3, "all": 4}})
        write_record(tmp_path / "b.json", place.run, {"format": "f", "nll": 2.5, "goal": [1, 2]})
        write_record(tmp_path / "c.json", "other", {"format": "f", "nll": 3.5})
        (tmp_path / "d.json").write_text((tmp_path / "a.json").read_text()[:40])
        add_to_index(tmp_path, "b.json", 0.25)
        assert repr(read_run(tmp_path)).endswith("2 of 4 records, 2 damaged, going on")
    return tmp_path


def test_its_rows_are_the_whole_records_of_this_run(folder: Path) -> None:
    records = read_run(folder)
    assert records.rows == [
        {"unit": "a.json", "nll": 1.5, "entries.kept": 3, "entries.all": 4, "goal": None, "seconds": None},
        {"unit": "b.json", "nll": 2.5, "entries.kept": None, "entries.all": None, "goal": "[1, 2]", "seconds": 0.25},
    ]
    assert (records.n_units, records.n_damaged, records.finished, records.is_going_on) == (4, 2, False, False)
    assert repr(records) == f"RunRecords: compare in {folder}: 2 of 4 records, 2 damaged, stopped"
    assert list(records.to_pandas().columns) == list(records.header)
    assert records.to_csv().splitlines()[1] == "a.json,1.5,3,4,,"
    assert records.columns == records.header[1:] and "<td>1.5</td>" in records._repr_html_()
    assert read_run(folder / "run.json") == records


def test_a_run_that_finishes_while_it_is_looked_at_is_not_called_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = RunFolder(tmp_path, IDENTITY, overwrite=False)
    place.begin(["a.json"], [])

    def finishes(folder: Path) -> bool:
        with place:
            place.finish()
        return False

    monkeypatch.setattr("keepmap.core.runs.reading.is_taken", finishes)
    assert repr(read_run(tmp_path)).endswith("finished")


def test_a_run_without_records_is_an_empty_table(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY, overwrite=False) as place:
        place.begin(UNITS, [])
        place.finish()
    records = read_run(tmp_path)
    assert (records.rows, records.to_csv(), records.columns) == ([], "unit\n", ("unit",))
    assert records.to_pandas().empty and repr(records).endswith("0 of 4 records, finished")


def test_units_outside_of_the_folder_are_not_read(folder: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    document = json.loads((folder / "run.json").read_text())
    run = document.pop("run")
    document.pop("checksum")
    (inside / "link").symlink_to(folder)
    write_record(inside / "run.json", run, document | {"units": ["link/a.json"]})
    assert (read_run(inside).rows, read_run(inside).n_damaged) == ([], 0)
    for unit in ("../a.json", str(folder / "a.json")):
        write_record(inside / "run.json", run, document | {"units": [unit]})
        with pytest.raises(InputError, match="it holds no run.json of keepmap's"):
            read_run(inside)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere", "no such folder"), ("", "it holds no run.json of keepmap's"), ("file", "it is not a folder")],
)
def test_what_is_no_run_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"no run at {tmp_path / name}: {reason}; `keepmap runs` lists runs"):
        read_run(tmp_path / name)
