"""What decides a run of a study, and the results of finished ones; all on a 4x4 room, in seconds."""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from keepmap.agents.acting.agent import Agent
from keepmap.agents.study.job import finished, load_baselines, write_result
from keepmap.agents.study.plan import plan_study
from keepmap.agents.study.results import StudyRun
from keepmap.agents.study.run import do_job
from keepmap.agents.training import loop
from keepmap.errors import InputError, ModelError
from tests.agents.study.baselines import ALONE, BASE, SHORT, jobs, quiet


def test_a_retraining_starts_from_the_baselines_weights(baseline: Agent, tmp_path: Path) -> None:
    by_name = {job.planned: job for job in jobs(tmp_path, [baseline], BASE, SHORT, ALONE, updates=20)}
    config, whole = by_name[SHORT].config, by_name[BASE].config
    assert config is not None and whole is not None and by_name[ALONE].config is None
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
    results = {(job.planned.trained, job.planned.seed, job.checkpoint) for job in jobs(tmp_path, agents, *plan)}
    names = [agent.name for agent in agents]
    assert results == {(way, seed, names[seed]) for way in (True, False) for seed in (0, 1)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": ["lrr=1"]}, 'unknown key "lrr", did you mean "lr"?'),
        (
            {"settings": ["train_timesteps=3"]},
            "train_timesteps in `settings` is not supported: a study sets it by itself; see `upd",
        ),
        (
            {"settings": ["compressor.name=random"]},
            "compressor in `settings` is not supported: a study sets it by it",
        ),
        ({"settings": ["n_transit=10"]}, "the configuration has n_transit 10 and the baseline"),
        ({"settings": ["split=0/4"]}, "the configuration has held-out goals"),
        ({"settings": ["tf_n_layer=2"]}, "the configuration has sizes of the model"),
        ({"copies": 0}, "expected `copies` to be 1 or more, got 0"),
        ({"updates": 0}, "expected `updates` to be 1 or more, got 0"),
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
            InputError, match=f"recency-75-seed1 holds a run with another {what}; give another `output_dir`"
        ):
            finished(other)
    with pytest.raises(InputError, match="another baseline; give"):
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
    document = json.loads(path.read_text())
    document["facts"]["config"] |= {"init": "elsewhere", "ckpt_interval": 7}
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="its checksum is not that of what it holds"):
        finished(job)
    del document["checksum"]
    path.write_text(json.dumps(document))
    assert finished(job) is not None
    (scratch,) = jobs(tmp_path, [baseline], SHORT, updates=4, copies=1, from_scratch=True)
    alike = replace(scratch, config=replace(job.config, init=None))  # type: ignore[type-var]
    with pytest.raises(InputError, match="another init; give"):
        finished(alike)
    for text in ("{", "{}", json.dumps({"facts": job.facts(), "run": {}})):
        path.write_text(text)
        with pytest.raises(InputError, match=r"cannot read .*result.json .*; delete it to do the run again"):
            finished(job)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"returns": [[[1.0] * 40]]}, "its returns have the shape (1, 1, 40); expected 2 goals"),
        ({"returns": [[[1.0] * 39]] * 2}, "its returns have the shape (2, 1, 39)"),
        ({"returns": [[[None] * 40]] * 2}, "a return is not finite"),
        ({"returns": 3}, "its returns have the shape ()"),
        ({"returns": [[[1.0], [1.0, 2.0]]]}, "cannot read"),
        ({"distance": [0.1]}, "distance has the shape (1,)"),
        ({"nats": 1.0}, "nats has the shape ()"),
        ({"flops": "many"}, "a number of it is missing"),
        ({"bytes": -1}, "a number of it is missing, or below 0"),
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
    document = json.loads(path.read_text())
    del document["checksum"]
    path.write_text(json.dumps(document | {"run": document["run"] | values}))
    with pytest.raises(InputError, match=r"cannot read .*result.json .*; delete it to do the run again") as raised:
        finished(job)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_checkpoint_that_was_deleted(baseline: Agent, tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, [baseline], SHORT, updates=4, copies=1)
    do_job(job, quiet)
    shutil.rmtree(job.folder / "ckpt-4")
    with pytest.raises(InputError, match="recency-75-seed1 holds a result and no longer the checkpoint.*; delete that"):
        finished(job)
