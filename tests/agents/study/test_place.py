"""The run folder of a study: a wider one is the same study, another is refused, one of an older keepmap goes on."""

from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.study.job import StudyJob, finished
from keepmap.agents.study.place import StudyPlace
from keepmap.agents.study.plan import PlannedRun
from keepmap.agents.study.run import do_job
from keepmap.core.runs.folder import RUN_FILE, read_run_file
from keepmap.core.runs.listing import runs_under
from keepmap.core.storage.documents import read_document, write_document
from keepmap.errors import InputError
from tests.agents.study.baselines import jobs, quiet

BASE, SHORT = PlannedRun("baseline", 0.0, 12, 0, True), PlannedRun("recency", 75.0, 3, 0, True)
ALONE, OTHER = replace(SHORT, trained=False), replace(SHORT, compressor="random")
OURS = {"what": "a study"}
FILES, OTHERS = ["study.json", "study.png"], ["study.json", "study.png", "study.svg"]


@pytest.fixture
def agents(trained: Path) -> list[Agent]:
    """Two baselines, of two training seeds."""
    return [load_agent(trained / "runs" / f"base{seed}") for seed in (0, 1)]


def begun(folder: Path, some: list[StudyJob], *, overwrite: bool = False, do: int = 0) -> StudyPlace:
    """A study that has begun, of which so many runs are done; its folder is given back."""
    place = StudyPlace(folder, some, overwrite=overwrite)
    place.check()
    with place:
        place.begin(FILES, OTHERS)
        for job in place.left()[:do]:
            do_job(job, quiet)
        if not place.left():
            write_document(folder / "study.json", OURS)
            (folder / "study.png").touch()
            place.finish(FILES)
    return place


def test_a_study_from_its_begin_to_its_end(tmp_path: Path, agents: list[Agent]) -> None:
    out = tmp_path / "out"
    some = jobs(out, agents[:1], BASE, SHORT, ALONE, updates=2, copies=1)
    assert len(begun(out, some, do=1).left()) == 2
    assert runs_under(tmp_path)[0].state == "stopped at 1 of 3"
    assert begun(out, some, do=2).left() == [] and runs_under(tmp_path)[0].state == "finished"
    # A wider one uses what there is, and a narrower one forgets nothing.
    wider = [*some, *jobs(out, agents[:1], OTHER, updates=2, copies=1)]
    assert [str(job.planned) for job in begun(out, wider).left()] == ["random-75-seed0"]
    narrow = begun(out, some)
    assert narrow.left() == [] and read_document(out / "study.json") == OURS
    file = read_run_file(out)
    assert file is not None and len(file.units) == 3 and "runs/random-75-seed0/result.json" in file.patterns
    (out / "runs" / "notes.txt").write_text("mine")
    for changed, what in (
        ({"updates": 3}, "`updates` is 2 there and 3 here"),
        ({"copies": 2}, "`copies` is 1 there and 2 here"),
        ({"from_scratch": True}, "`from_scratch` is false there and true here"),
        ({"settings": ["compress_labels=2"]}, "`compress_labels` is 4 there and 2 here"),
    ):
        other = jobs(out, agents[:1], BASE, SHORT, **({"updates": 2, "copies": 1} | changed))
        with pytest.raises(InputError, match=f"holds another run: {what}; give `overwrite`"):
            StudyPlace(out, other, overwrite=False).check()
    with pytest.raises(InputError, match="the checkpoint of seed 0 has changed"):
        begun(out, jobs(out, agents[1:], BASE, SHORT, updates=2, copies=1))
    other = jobs(out, agents[:1], BASE, SHORT, updates=3, copies=1)
    assert len(begun(out, other, overwrite=True).left()) == 2
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    assert left == {RUN_FILE, "runs/notes.txt"}


def test_one_of_an_older_keepmap_goes_on(tmp_path: Path, agents: list[Agent]) -> None:
    out = tmp_path / "out"
    some = jobs(out, agents[:1], BASE, SHORT, updates=2, copies=1)
    begun(out, some, do=2)
    (out / RUN_FILE).unlink()
    (out / "study.svg").write_text("theirs")
    with pytest.raises(InputError, match="holds a run with another train_timesteps; give another `output_dir`"):
        begun(out, jobs(out, agents[:1], BASE, SHORT, updates=3, copies=1))
    assert not (out / RUN_FILE).exists()
    assert begun(out, some).left() == [] and (out / "study.svg").read_text() == "theirs"
    (out / RUN_FILE).unlink()
    other = jobs(out, agents[:1], BASE, SHORT, updates=3, copies=1)
    assert len(begun(out, other, overwrite=True).left()) == 2 and not (out / "study.json").exists()
    (out / RUN_FILE).unlink()
    (out / "study.json").write_text("mine")
    with pytest.raises(InputError, match=r"holds study.json, and no run of keepmap's that made it"):
        begun(out, other)


def test_histories_that_have_changed_are_another_study(tmp_path: Path, agents: list[Agent]) -> None:
    out = tmp_path / "out"
    some = jobs(out, agents[:1], BASE, SHORT, updates=2, copies=1)
    begun(out, some, do=1)
    assert some[0].config is not None
    histories = some[0].config.histories_path()
    content = histories.read_bytes()
    try:
        histories.write_bytes(content + b" ")
        with pytest.raises(InputError, match="the data of seed 0 has changed"):
            begun(out, some)
        histories.unlink()
        assert len(begun(out, some).left()) == 1, "what is finished needs none"
    finally:
        histories.write_bytes(content)
    assert [finished(job) is None for job in some].count(True) == 1
