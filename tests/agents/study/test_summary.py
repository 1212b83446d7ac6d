"""A study is what its finished runs say: rows, the baseline's attention, the guide's promises, and the versions."""

from dataclasses import replace
from pathlib import Path

from keepmap.agents.acting.agent import Agent
from keepmap.agents.study.job import finished
from keepmap.agents.study.promises import pattern_of, promises_of
from keepmap.agents.study.rows import rows_of
from keepmap.agents.study.run import do_job
from keepmap.agents.study.summary import study_of
from tests.agents.study.baselines import BASE, SHORT, jobs, quiet


def test_a_study_is_of_the_jobs_that_are_finished(baseline: Agent, tmp_path: Path) -> None:
    plan = [replace(planned, seed=0, trained=False) for planned in (BASE, SHORT)]
    todo = jobs(tmp_path, [baseline], *plan, copies=1)
    do_job(todo[0], quiet)
    (run,) = [run for run in map(finished, todo) if run is not None]
    study = study_of(todo, {"command": "by hand"})
    assert study.results == rows_of([run], [])
    assert study.pattern == pattern_of([run])
    assert study.promises == promises_of(study.results, study.pattern, [])
    assert study.options == {"command": "by hand"} and "torch" in study.versions
    do_job(todo[1], quiet)
    assert len(study_of(todo, {}).results) == 2
