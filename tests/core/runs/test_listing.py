"""Runs under a folder and how far they are, from what lies there."""

from pathlib import Path

from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.listing import runs_under
from keepmap.core.runs.records import write_record


def run(folder: Path, units: int, *, finish: bool = False) -> RunFolder:
    identity = Identity(verb="compare", options={}, versions={}, hashes={})
    place = RunFolder(folder, identity, overwrite=False)
    place.begin(["a.json", "b.json", "c.json"], [])
    for name in ("a.json", "b.json", "c.json")[:units]:
        write_record(folder / name, place.run, {})
    if finish:
        place.finish()
    return place


def test_each_run_has_its_state(tmp_path: Path) -> None:
    with run(tmp_path / "done", 3, finish=True), run(tmp_path / "deep" / "er" / "half", 1):
        pass
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "run.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "done")
    with run(tmp_path / "now", 2):
        states = {state.folder.relative_to(tmp_path).as_posix(): state.state for state in runs_under(tmp_path)}
    assert states == {"done": "finished", "deep/er/half": "stopped at 1 of 3", "now": "going on, 2 of 3"}


def test_a_run_whose_units_are_all_there_and_that_is_not_finished_says_so(tmp_path: Path) -> None:
    with run(tmp_path, 3):
        assert runs_under(tmp_path)[0].state == "going on, 3 of 3, its results are still to be written"
        (tmp_path / "c.json").rename(tmp_path / "d.json")
        (tmp_path / "c.json").mkdir()
        assert runs_under(tmp_path)[0].state == "going on, 2 of 3", "a folder is no record"
        (tmp_path / "c.json").rmdir()
        (tmp_path / "d.json").rename(tmp_path / "c.json")
    assert runs_under(tmp_path)[0].state == "stopped at 3 of 3, its results are still to be written"


def test_a_finished_run_that_has_lost_records_says_so(tmp_path: Path) -> None:
    with run(tmp_path, 3, finish=True):
        pass
    (tmp_path / "b.json").unlink()
    (state,) = runs_under(tmp_path)
    assert state.state == "finished, and 1 of its 3 records are gone since" and state.n_lost == 1


def test_what_lies_too_deep_is_not_looked_for(tmp_path: Path) -> None:
    with run(tmp_path.joinpath(*"abcde"), 1):
        pass
    assert runs_under(tmp_path) == ()
    assert len(runs_under(tmp_path / "a")) == 1


def test_steps_are_counted_by_their_checkpoints_and_what_counts_nothing_says_so(tmp_path: Path) -> None:
    identity = Identity(verb="train", options={}, versions={}, hashes={})
    for name, steps in (("a", 1500), ("b", None)):
        with RunFolder(tmp_path / name, identity, overwrite=False, steps=steps) as place:
            place.begin([], [])
            assert next(iter(runs_under(tmp_path / name))).state == ("going on, 0 of 1,500" if steps else "going on")
        for folder in ("ckpt-100", "ckpt-1200", "ckpt-mine", "ckpt-1" + "0" * 20):
            (tmp_path / name / folder).mkdir()
    assert [state.state for state in runs_under(tmp_path)] == ["stopped at 1,200 of 1,500", "stopped"]
