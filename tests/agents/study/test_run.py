"""The plan, the jobs and the runs of a study; all on a 4x4 room, in seconds."""

import json
import math
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import keepmap.agents.study.run as run_module
from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressor import compressors
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.evaluation.evaluate import evaluate
from keepmap.agents.study.cost import cached_cost, held_bytes, pass_flops
from keepmap.agents.study.job import StudyJob, finished, jobs_of, load_baselines, write_result
from keepmap.agents.study.plan import BUDGETS, PlannedRun, plan_study
from keepmap.agents.study.results import StudyRun
from keepmap.agents.study.run import do_job
from keepmap.agents.training import loop
from keepmap.errors import InputError, ModelError, OutputError


def quiet(share: float) -> None:
    """A run that nobody watches."""


def test_the_default_plan_is_that_of_the_issue() -> None:
    plan = plan_study("all", BUDGETS, None, 120, 1)
    trained = [one for one in plan if one.trained and one.compressor != "baseline"]
    assert len({*plan}) == len(plan) and {one.compressor for one in trained} == {*compressors()}
    assert {(one.percent, one.length) for one in trained} == {(50, 60), (80, 24), (95, 6)}
    assert Counter((one.percent, one.seed) for one in trained) == {(50, 0): 8, (80, 0): 8, (80, 1): 8, (95, 0): 8}
    alone = [one for one in plan if not one.trained]
    assert Counter((one.percent, one.seed) for one in alone) == {(0, 0): 1, (50, 0): 8, (80, 0): 8, (95, 0): 8}
    base = [str(one) for one in plan if one.compressor == "baseline"]
    assert base == ["baseline-seed0", "baseline-seed1", "baseline-rollout-seed0"]
    assert str(trained[0]) == "adaptive-50-seed0"


def test_a_plan_can_be_narrower_or_wider() -> None:
    plan = plan_study(["recency,uniform", "recency"], [97.5], 3, 12, 3)
    assert {str(one) for one in plan if one.compressor == "recency"} == {
        *("recency-97.5-seed0", "recency-97.5-seed1", "recency-97.5-seed2"),
        *("recency-97.5-rollout-seed0", "recency-97.5-rollout-seed1", "recency-97.5-rollout-seed2"),
    }
    assert {one.length for one in plan} == {1, 12}
    assert [one.length for one in plan_study("random", [0.0, 100.0], 1, 12, 1) if one.compressor == "random"][:2] == [
        12,
        1,
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recensy", (50.0,), None, 12, 1), 'unknown compressor "recensy", did you mean "recency"?'),
        (("all", (120.0,), None, 12, 1), "a budget of 120 % shorter was asked for; it must lie in 0 to 100"),
        (("all", (-1.0,), None, 12, 1), "a budget of -1 % shorter"),
        (("all", (float("nan"),), None, 12, 1), "a budget of nan % shorter"),
        (("all", (50.0, 50.0), None, 12, 1), "the budget 50 was given twice"),
        (
            ("all", (100.0, 99.9999999), None, 12, 1),
            "budgets 100.0 and 99.9999999 were given, which would share the fo",
        ),
        (("all", (), None, 12, 1), "a study of nothing was asked for"),
        (("", (50.0,), None, 12, 1), "a study of nothing was asked for"),
        (("all", (50.0,), 0, 12, 1), "0 training seeds were asked for"),
        (("all", (50.0,), None, 12, 2), "2 checkpoints were given for 1 training seeds; give one for all, or one for"),
        (("all", (80.0,), None, 12, 3), "3 checkpoints were given for 2 training seeds"),
    ],
)
def test_plans_that_cannot_be(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError) as raised:
        plan_study(*arguments)  # type: ignore[arg-type]
    assert message in str(raised.value)


def jobs(folder: Path, agents: list[Agent], *plan: PlannedRun, **options: object) -> list[StudyJob]:
    return jobs_of(plan, agents, folder, **options)  # type: ignore[arg-type]


BASE, SHORT = PlannedRun("baseline", 0.0, 12, 1, True), PlannedRun("recency", 75.0, 3, 1, True)
ALONE = replace(SHORT, seed=0, trained=False)


def test_a_retraining_starts_from_the_baselines_weights(baseline: Agent, tmp_path: Path) -> None:
    made = {job.planned: job for job in jobs(tmp_path, [baseline], BASE, SHORT, ALONE, updates=20)}
    config, whole = made[SHORT].config, made[BASE].config
    assert config is not None and whole is not None and made[ALONE].config is None
    assert config.compressor == {"name": "recency", "keep_recent": 3}
    assert (config.init, config.lr, config.compress_labels, config.train_timesteps) == (baseline.name, 3e-4, 4, 20)
    assert (config.num_warmup_steps, config.train_seed) == (2, 1)
    assert config.run_folder() == tmp_path / "runs" / "recency-75-seed1"
    assert replace(config, compressor=None, compress_labels=8, log_dir=whole.log_dir) == whole
    assert jobs(tmp_path, [baseline], SHORT)[0].config.train_timesteps == 200  # type: ignore[union-attr]
    (other,) = jobs(tmp_path, [baseline], SHORT, settings=["lr=2e-3", "compress_labels=2", "train_batch_size=7"])
    assert other.config is not None
    assert (other.config.lr, other.config.compress_labels, other.config.train_batch_size) == (2e-3, 2, 7)


def test_from_scratch_is_the_configurations_own_training(baseline: Agent, tmp_path: Path) -> None:
    for updates, expected in ((None, 4), (9, 9)):
        for job in jobs(tmp_path, [baseline], BASE, SHORT, from_scratch=True, updates=updates):
            assert job.config is not None
            assert (job.config.init, job.config.lr, job.config.train_timesteps) == (None, baseline.config.lr, expected)
            assert job.config.num_warmup_steps == baseline.config.num_warmup_steps
            if job.planned == SHORT:
                assert job.config.compress_labels == 8


def test_each_seed_has_its_own_baseline_where_there_are_several(trained: Path, tmp_path: Path) -> None:
    agents = load_baselines([trained / "runs" / "base0", trained / "runs" / "base1"])
    plan = plan_study("recency", [80.0], 2, 12, 2)
    found = {(job.planned.trained, job.planned.seed, job.checkpoint) for job in jobs(tmp_path, agents, *plan)}
    names = [agent.name for agent in agents]
    assert found == {(way, seed, names[seed]) for way in (True, False) for seed in (0, 1)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": ["lrr=1"]}, 'unknown key "lrr", did you mean "lr"?'),
        ({"settings": ["train_timesteps=3"]}, "--set train_timesteps was given; a study sets it by itself: see --upd"),
        ({"settings": ["compressor.name=random"]}, "--set compressor was given; a study sets it by itself"),
        ({"settings": ["n_transit=10"]}, "the configuration has n_transit 10 and the baseline"),
        ({"settings": ["split=0/4"]}, "the configuration has held-out goals"),
        ({"settings": ["tf_n_layer=2"]}, "the configuration has sizes of the model"),
        ({"copies": 0}, "0 copies were asked for"),
        ({"updates": 0}, "0 updates were asked for"),
    ],
)
def test_jobs_that_cannot_be(baseline: Agent, tmp_path: Path, options: Mapping[str, object], message: str) -> None:
    with pytest.raises(InputError) as raised:
        jobs(tmp_path, [baseline], SHORT, **options)
    assert message in str(raised.value)


def test_baselines_that_cannot_be(baseline: Agent, trained: Path, tmp_path: Path) -> None:
    run = replace(baseline.config, log_dir=str(tmp_path / "short"), compressor={"name": "random", "target_length": 3})
    loop.train(run)
    with pytest.raises(ModelError, match="was trained with RandomCompressor.*; a baseline is trained with whole windo"):
        load_baselines([trained / "runs" / "base0", tmp_path / "short"])
    loop.train(replace(baseline.config, log_dir=str(tmp_path / "less"), n_transit=6))
    with pytest.raises(InputError, match="less/ckpt-4 was trained with n_transit 6 and .* with 12; the baselines"):
        load_baselines([trained / "runs" / "base0", tmp_path / "less"])
    with pytest.raises(ModelError, match="no agent at nowhere"):
        load_baselines(["nowhere"])
    loop.train(replace(baseline.config, log_dir=str(tmp_path / "rate"), train_seed=1, lr=1e-2))
    with pytest.raises(
        InputError, match="rate/ckpt-4 was trained with lr 0.01 and .*; the baselines of a study differ"
    ):
        load_baselines([trained / "runs" / "base0", tmp_path / "rate"])
    with pytest.raises(
        InputError, match="base0/ckpt-4 were both trained with train_seed 0; the baselines of a study h"
    ):
        load_baselines([trained / "runs" / "base0", trained / "runs" / "base0" / "ckpt-4"])


def test_a_baseline_that_holds_out_no_goal(baseline: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    import keepmap.agents.study.job as module

    monkeypatch.setattr(module, "load_agent", lambda name: replace(baseline, held_out=()))
    with pytest.raises(InputError, match="base0/ckpt-4 holds out no goal; a study needs some"):
        load_baselines(["any"])


def test_a_run_measures_what_it_says(baseline: Agent, tmp_path: Path) -> None:
    told: list[float] = []
    (job,) = jobs(tmp_path, [baseline], SHORT, updates=4, copies=2)
    assert finished(job) is None
    do_job(job, told.append)
    assert told == sorted(told) and 0 < told[0] < 0.8 < told[-1] < 1
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
            found = evaluate(baseline, baseline.held_out, episodes=40)
            assert (run.returns == found.all_returns).all()
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


def test_another_run_in_the_same_folder_is_an_error(baseline: Agent, tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, [baseline], SHORT, updates=4, copies=1)
    do_job(job, quiet)
    for options, what in (
        ({"updates": 5, "copies": 1}, "train_timesteps"),
        ({"updates": 4, "copies": 2}, "copies"),
        ({"updates": 4, "copies": 1, "settings": ["lr=1e-2"]}, "lr"),
    ):
        (other,) = jobs(tmp_path, [baseline], SHORT, **options)  # type: ignore[arg-type]
        with pytest.raises(
            InputError, match=f"recency-75-seed1 holds a run with another {what} than was asked for; gi"
        ):
            finished(other)
    with pytest.raises(InputError, match="another baseline than"):
        finished(replace(job, digest="0"))
    elsewhere = replace(job, config=replace(job.config, traj_dir="elsewhere"))  # type: ignore[type-var]
    assert finished(elsewhere) is not None, "where the histories lie does not count"
    (kept,) = jobs(tmp_path, [baseline], SHORT, updates=4, copies=1, settings=["ckpt_interval=1", "eval_interval=0"])
    assert finished(kept) is not None, "no weight depends on these"
    moved = replace(baseline, name=str(Path(baseline.name).parent / ".." / "base0" / "ckpt-4"))
    (other,) = jobs(tmp_path, [moved], SHORT, updates=4, copies=1)
    assert other.config is not None and other.config.init != job.config.init  # type: ignore[union-attr]
    assert finished(other) is not None, "the same baseline by another name"
    # As it was written when facts named the baseline's folder.
    path = job.folder / "result.json"
    said = json.loads(path.read_text())
    said["facts"]["config"] |= {"init": "elsewhere", "ckpt_interval": 7}
    path.write_text(json.dumps(said))
    assert finished(job) is not None
    (scratch,) = jobs(tmp_path, [baseline], SHORT, updates=4, copies=1, from_scratch=True)
    alike = replace(scratch, config=replace(job.config, init=None))  # type: ignore[type-var]
    with pytest.raises(InputError, match="another init than"):
        finished(alike)
    for text in ("{", "{}", json.dumps({"facts": job.facts(), "run": {}})):
        path.write_text(text)
        with pytest.raises(InputError, match=r"cannot read .*result.json .*; delete it to do the run again"):
            finished(job)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"returns": [[[1.0] * 40]]}, "its returns have the shape (1, 1, 40); 2 goals"),
        ({"returns": [[[1.0] * 39]] * 2}, "its returns have the shape (2, 1, 39)"),
        ({"returns": [[[None] * 40]] * 2}, "a return is no number"),
        ({"returns": 3}, "its returns have the shape ()"),
        ({"returns": [[[1.0], [1.0, 2.0]]]}, "cannot read"),
        ({"distance": [0.1]}, "distance has the shape (1,)"),
        ({"nats": 1.0}, "nats has the shape ()"),
        ({"flops": "many"}, "a number of it is none"),
        ({"bytes": -1}, "a number of it is none, or below 0"),
        ({"again_flops": 7.0}, "again_flops belong to the baseline"),
        ({"compressor": "random"}, "its facts are those of another run"),
        ({"optimum": []}, "its returns have the shape"),
    ],
)
def test_a_damaged_result(baseline: Agent, tmp_path: Path, values: dict[str, object], message: str) -> None:
    (job,) = jobs(tmp_path, [baseline], ALONE, copies=1)
    good = StudyRun(
        **asdict(ALONE),
        optimum=(4.0, 4.0),
        returns=np.ones((2, 1, 40)),
        kept=1.0,
        most_kept=3,
        length_mean=4.0,
        flops=1.0,
        bytes=1,
        again_flops=None,
        **dict.fromkeys(("distance", "entropy", "baseline_entropy", "nats", "recent_distant"), (1.0, math.nan)),
    )
    job.folder.mkdir(parents=True)
    write_result(job, good)
    assert finished(job) is not None
    path = job.folder / "result.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"run": said["run"] | values}))
    with pytest.raises(InputError, match=r"cannot read .*result.json .*; delete it to do the run again") as raised:
        finished(job)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_checkpoint_that_was_deleted(baseline: Agent, tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, [baseline], SHORT, updates=4, copies=1)
    do_job(job, quiet)
    shutil.rmtree(job.folder / "ckpt-4")
    with pytest.raises(InputError, match="recency-75-seed1 holds a result and no longer the checkpoint.*; delete that"):
        finished(job)


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
    with pytest.raises(InputError, match=r"holds a run with init .*; delete that folder, or .*--output_dir"):
        do_job(wrong, quiet)
    do_job(again, quiet)
    assert finished(again) is not None


def test_a_folder_that_cannot_be_written(baseline: Agent, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    (job,) = jobs(tmp_path, [baseline], ALONE)
    with pytest.raises(OutputError, match="cannot write into the folder"):
        do_job(job, quiet)
