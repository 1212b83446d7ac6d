"""Units of work that are done once."""

import json
from pathlib import Path

import pytest

from keepmap.core.runs.folder import RunFolder, read_run_file
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.index import INDEX, read_index
from keepmap.core.runs.units import Units

NAMES = ["parts/a.json", "parts/b.json"]


def begun(folder: Path, seed: int = 0) -> RunFolder:
    place = RunFolder(folder, Identity(verb="evaluate", options={"seed": seed}, versions={}, hashes={}), overwrite=True)
    place.begin(NAMES, [])
    return place


def test_a_unit_is_done_once(tmp_path: Path) -> None:
    calls = []

    def work() -> list[float]:
        calls.append(0)
        return [0.1, 1e-300]

    for n_before in (0, 1):
        with begun(tmp_path) as place:
            units = Units(place, NAMES)
            assert units.n_done == n_before
            assert units.once(NAMES[0], work) == [0.1, 1e-300]
            assert units.n_done == 1
    assert len(calls) == 1 and read_index(tmp_path).keys() == {NAMES[0]}
    with begun(tmp_path, seed=1) as place:
        assert Units(place, NAMES).n_done == 0


def test_a_deleted_index_is_made_again_from_the_records(tmp_path: Path) -> None:
    with begun(tmp_path) as place:
        Units(place, NAMES).once(NAMES[1], lambda: 1)
    (tmp_path / INDEX).unlink()
    with begun(tmp_path) as place:
        units = Units(place, NAMES)
        assert units.n_done == 1
    assert (tmp_path / INDEX).read_text() == f'{{"unit": "{NAMES[1]}", "seconds": null}}\n'


def test_what_its_reader_refuses_is_done_again(tmp_path: Path) -> None:
    def three(value: list[int]) -> list[int]:
        if len(value) != 3:
            raise ValueError
        return value

    with begun(tmp_path) as place:
        Units(place, NAMES).once(NAMES[1], lambda: [1, 2])
        units = Units(place, NAMES)
        assert units.value(NAMES[1], lambda: [1, 2, 3], list, three) == [1, 2, 3]
        assert units.n_done == 1
    assert json.loads((tmp_path / NAMES[1]).read_text())["value"] == [1, 2, 3]


def test_work_that_fails_leaves_no_record(tmp_path: Path) -> None:
    with begun(tmp_path) as place:
        with pytest.raises(ZeroDivisionError):
            Units(place, NAMES).once(NAMES[0], lambda: 1 / 0)
        assert not (tmp_path / NAMES[0]).exists()


def test_units_that_are_known_late_are_the_run_s_whether_they_are_asked_for_again_or_not(tmp_path: Path) -> None:
    late = ["parts/late.json", "parts/never.json"]
    with begun(tmp_path) as place:
        place.add_units(late)
        Units(place, late).once(late[0], lambda: 1)
    for seed in (0, 1):
        with begun(tmp_path, seed):
            run = read_run_file(tmp_path)
            assert run is not None and run.units == (*NAMES, *late[: 1 - seed])
            assert (tmp_path / late[0]).exists() == (seed == 0)
