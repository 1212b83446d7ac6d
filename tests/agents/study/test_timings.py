"""How long runs trained and actions take: measured once, kept beside the run, and read again."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.agents.acting.agent import Agent
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.study import timings
from keepmap.agents.study.job import StudyJob, finished
from keepmap.agents.study.rows import rows_of
from keepmap.agents.study.run import do_job
from keepmap.agents.study.timings import (
    action_seconds,
    action_times,
    action_times_path,
    measured_times,
    stored_action_times,
)
from keepmap.errors import InputError
from tests.agents.study.baselines import BASE, SHORT, jobs, quiet

WHOLE, LESS = replace(BASE, seed=0), replace(SHORT, seed=0)


@pytest.fixture(scope="module")
def done(baseline: Agent, tmp_path_factory: pytest.TempPathFactory) -> list[StudyJob]:
    """Two trainings and the baseline without one, finished."""
    plan = (WHOLE, LESS, replace(WHOLE, trained=False))
    todo = jobs(tmp_path_factory.mktemp("study"), [baseline], *plan, updates=2, copies=1)
    for job in todo:
        do_job(job, quiet)
    return sorted(todo, key=lambda job: plan.index(job.planned))


def test_an_action_takes_time(baseline: Agent) -> None:
    for compressor in (None, RecencyCompressor(2)):
        assert 0 < action_seconds(baseline, compressor, 2) < 1


def test_each_trained_row_has_times_that_are_measured_once(
    done: list[StudyJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of([run for run in map(finished, done) if run is not None], [])
    shares: list[float] = []
    times = measured_times(done, rows, shares.append)
    assert times.keys() == {"baseline", "recency 75%"} and shares == [0.5, 1.0]
    assert times["baseline"].keys() == {"training_seconds", "1", "64", "again_1", "again_64"}
    assert times["recency 75%"].keys() == {"training_seconds", "1", "64"}
    assert all(0 < seconds < math.inf for row in times.values() for seconds in row.values())
    monkeypatch.setattr(timings, "action_seconds", None)
    assert measured_times(done, rows) == times
    stored = stored_action_times(done[1])
    assert stored is not None and stored == action_times(done[1])
    assert times["recency 75%"] == {"training_seconds": times["recency 75%"]["training_seconds"]} | stored


def test_what_was_not_measured_is_none_and_what_is_damaged_is_one_line(done: list[StudyJob], tmp_path: Path) -> None:
    job = replace(done[1], folder=tmp_path)
    assert stored_action_times(job) is None and action_times_path(job) == tmp_path / "action_time.json"
    for text in (
        "{",
        "[]",
        '{"1": 2.0}',
        '{"1": 2.0, "64": "fast"}',
        '{"1": 2.0, "64": -1.0}',
        '{"1": NaN, "64": 1.0}',
        '{"1": 1.0, "64": 1.0, "again_1": 1.0, "again_64": 1.0}',
        "[" * 9999,
    ):
        action_times_path(job).write_text(text)
        with pytest.raises(InputError, match=r"cannot read .*action_time.json .*; delete it to measure") as raised:
            stored_action_times(job)
        assert "\n" not in str(raised.value)
    action_times_path(job).write_text('{"1": 1.0, "64": 1.0}')
    assert stored_action_times(job) == {"1": 1.0, "64": 1.0}
