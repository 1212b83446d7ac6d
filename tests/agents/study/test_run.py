"""Runs of a study: trained, evaluated, measured, stopped and gone on with; all on a 4x4 room, in seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import keepmap.agents.study.run as run_module
from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.evaluation.evaluate import evaluate
from keepmap.agents.study.cost import cached_cost, held_bytes, pass_flops
from keepmap.agents.study.job import finished
from keepmap.agents.study.run import do_job
from keepmap.agents.training import loop
from keepmap.errors import InputError, OutputError
from tests.agents.study.baselines import ALONE, BASE, SHORT, jobs, quiet


def test_a_run_measures_what_it_says(baseline: Agent, tmp_path: Path) -> None:
    shares: list[float] = []
    (job,) = jobs(tmp_path, [baseline], SHORT, updates=4, copies=2)
    assert finished(job) is None
    do_job(job, shares.append)
    assert shares == sorted(shares) and 0 < shares[0] < 0.8 < shares[-1] < 1
    run = finished(job)
    assert run is not None
    agent = load_agent(job.folder)
    again = evaluate(agent, agent.held_out, episodes=40, copies=2, compressor=RecencyCompressor(3))
    assert (run.returns == again.all_returns).all() and run.optimum == again.optimum
    assert (run.compressor, run.percent, run.length, run.seed, run.trained) == ("recency", 75, 3, 1, True)
    steps = 40 * 6
    assert run.kept == pytest.approx((1 + 2 + 3 * (steps - 3)) / steps) and run.most_kept == 3
    assert run.length_mean == pytest.approx((sum(range(12)) + 12 * (steps - 12)) / steps)
    shape = agent.model.shape
    assert run.flops == pytest.approx(
        (sum(pass_flops(shape, m + 1) for m in range(3)) + pass_flops(shape, 4) * (steps - 3)) / steps
    )
    assert (run.bytes, run.again_flops) == (held_bytes(shape, 4), None)
    assert len(run.distance) == len(agent.held_out) and (np.array(run.distance) > 0).all()
    assert any((value != baseline.model.state_dict()[key]).any() for key, value in agent.model.state_dict().items())


def test_without_training_the_baseline_acts(baseline: Agent, tmp_path: Path) -> None:
    whole = replace(BASE, seed=0, trained=False)
    for job in jobs(tmp_path, [baseline], whole, ALONE, copies=1):
        do_job(job, quiet)
        assert [path.name for path in job.folder.iterdir()] == ["result.json"]
        run = finished(job)
        assert run is not None
        if job.planned == whole:
            evaluation = evaluate(baseline, baseline.held_out, episodes=40)
            assert (run.returns == evaluation.all_returns).all()
            cost = cached_cost(baseline.model.shape, 240, 12, 1)
            assert (run.flops, run.bytes) == (cost.flops, cost.bytes)
            assert run.again_flops is not None and run.again_flops > run.flops
            assert run.kept == run.length_mean and run.most_kept == 12
            np.testing.assert_allclose(run.distance, 0, atol=1e-9)


class Killed(Exception):
    """In place of a signal."""


def test_a_run_that_was_killed_goes_on_and_ends_the_same(
    baseline: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"updates": 6, "copies": 1, "settings": ["ckpt_interval=2"]}
    (straight,) = jobs(tmp_path / "a", [baseline], SHORT, **options)
    do_job(straight, quiet)

    def kill(share: float) -> None:
        if share > 0.6:
            raise Killed

    (stopped,) = jobs(tmp_path / "b", [baseline], SHORT, **options)
    with pytest.raises(Killed):
        do_job(stopped, kill)
    assert finished(stopped) is None and (stopped.folder / "ckpt-4").is_dir()
    begun: list[int] = []
    train = loop.train
    monkeypatch.setattr(run_module, "train", lambda config, **options: begun.append(train(config, **options).began_at))
    do_job(stopped, quiet)
    assert begun == [4]
    assert (stopped.folder / "result.json").read_bytes() == (straight.folder / "result.json").read_bytes()


def test_a_training_goes_on_from_a_baseline_by_another_name(
    baseline: Agent, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    options = {"updates": 4, "copies": 1}
    (begun,) = jobs(tmp_path, [load_agent("runs/base0")], SHORT, **options, settings=["ckpt_interval=2"])

    def kill(share: float) -> None:
        if share > 0.5:
            raise Killed

    with pytest.raises(Killed):
        do_job(begun, kill)
    (again,) = jobs(tmp_path, [baseline], SHORT, **options)
    assert begun.config is not None and again.config is not None and begun.config.init != again.config.init
    (wrong,) = jobs(tmp_path, [load_agent("runs/base1")], SHORT, **options)
    with pytest.raises(InputError, match=r"holds a run with init .*; delete that folder, or .*`output_dir`"):
        do_job(wrong, quiet)
    do_job(again, quiet)
    assert finished(again) is not None


def test_a_folder_that_cannot_be_written(baseline: Agent, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    (job,) = jobs(tmp_path, [baseline], ALONE)
    with pytest.raises(OutputError, match="cannot write into the folder"):
        do_job(job, quiet)
