"""`keepmap train` as users type it, up to an agent that plays; what it refuses, and that nothing is left of that."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keepmap
from keepmap.agents.collection.sources.optimistic import Optimistic
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.training import loop
from keepmap.cli import main
from keepmap.commands import progress
from tests.forked import python

REPOSITORY = Path(__file__).parents[3]
SMALL = [
    "grid_size=4",
    "horizon=6",
    "max_reward=6",
    "n_stream=4",
    "tf_n_embd=16",
    "tf_n_layer=2",
    "tf_n_head=2",
    "n_transit=12",
    "train_timesteps=6",
    "train_batch_size=4",
    "eval_interval=3",
    "log_dir=run",
]


def command(cwd: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python("-W", "error", str(REPOSITORY / script), *arguments, cwd=cwd)


def test_tensorboard_has_the_log_s_curves(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = command(tmp_path, "train.py", "--tensorboard", "--set", *SMALL, "summary_interval=1")
    assert (done.returncode, done.stderr) == (0, "")
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([line["loss"] for line in logged])
    assert [event.step for event in events.Scalars("validation_loss")] == [3, 6]


def test_tensorboard_goes_on_and_leaves_nothing_after_an_error(tmp_path: Path, monkeypatch, capsys) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--tensorboard", "--set", *SMALL, "eval_interval=0"]
    assert main([*arguments, "train_timesteps=5"]) == 0
    assert main([*arguments, "train_timesteps=5"]) == 0
    assert len(list(Path("run").glob("events*"))) == 1, "a finished run has nothing more to show"
    events = EventAccumulator("run")
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [5], "the last update is always logged"
    assert main([*arguments, "log_dir=other", "n_transit=4000"]) == 2
    assert not Path("other").exists()


def test_tensorboard_that_is_missing_is_named(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(["train", "--tensorboard", "--set", *SMALL]) == 2
    assert "pip install 'keepmap[tensorboard]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_training_collects_trains_and_says_what_comes_next(tmp_path: Path) -> None:
    done = command(tmp_path, "train.py", "--set", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Collecting histories into datasets/history_darkroom-4x4")
    assert "Training AD on darkroom, split guide, seed 0" in lines
    assert sum(line.startswith("  update ") for line in lines) == 2
    assert lines[-2].startswith("Trained 6 updates in ")
    assert lines[-1] == "Next: keepmap evaluate --checkpoint run/ckpt-6"
    assert max(map(len, lines)) <= 100
    again = command(tmp_path, "train.py", "--set", *SMALL)
    assert again.returncode == 0
    assert "Already trained: run/ckpt-6" in again.stdout
    facts = json.loads((tmp_path / "run" / "ckpt-6" / "checkpoint.json").read_text())
    assert facts["config"]["n_transit"] == 12
    assert facts["versions"]["keepmap"] == keepmap.__version__
    agent = keepmap.load_agent(tmp_path / "run")
    returns = agent.play(RoomVectorEnv(agent.room, 3, agent.held_out[:1] * 3), 5)
    assert returns.shape == (3, 5)
    assert np.array_equal(returns, agent.play(RoomVectorEnv(agent.room, 3, agent.held_out[:1] * 3), 5))


def test_a_training_has_a_run_folder_and_so_have_its_histories(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    learn, save = Optimistic.learn, loop.save

    def stops(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Optimistic, "at_once", 8)
    train = ["train", "--set", *SMALL, "ckpt_interval=2"]
    for stopped, state in (
        (
            (Optimistic, "learn"),
            "datasets/history_darkroom-4x4x6_optimistic_alg-seed0.hdf5.run: collect, stopped at 0 of 7",
        ),
        ((loop, "save"), "run: train, stopped at 0 of 6"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*stopped, stops)
            assert main(train) == 130
        capsys.readouterr()
        assert main(["runs"]) == 0
        assert capsys.readouterr().out.splitlines()[-2:] == [state, f"  keepmap {shlex.join(train)}"]
    assert (Optimistic.learn, loop.save) == (learn, save)
    assert main(train) == 0
    # The command that collects by itself finds the same histories.
    sizes = ["--size", "4", "--horizon", "6", "--learners", "4"]
    capsys.readouterr()
    assert main(["collect", *sizes]) == 0 and "\nFinished already: datasets/" in capsys.readouterr().out
    assert main([*train, "lr=0.5"]) == 2
    assert capsys.readouterr().err == (
        "error: run holds another run: `lr` is 0.004 there and 0.5 here; give --overwrite to replace it, or another "
        "log_dir\n"
    )
    assert main([*train, "lr=0.5", "--overwrite"]) == 0
    assert "\nTrained 6 updates" in capsys.readouterr().out
    assert main(["runs"]) == 0 and capsys.readouterr().out.endswith("\nrun: train, finished\n")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["n_transits=3"], 'n_transits=3: unknown key "n_transits", did you mean "n_transit"?'),
        (["n_transit=0"], "n_transit"),
        (["lr=fast"], "lr"),
        (["compressor.name=recent"], 'did you mean "recency"'),
        (["compressor={name: uniform, target_length: 0}"], "target_length"),
        (["traj_dir=nowhere"], "no histories at nowhere"),
        (["split=0/99"], "folds"),
        (["init=nowhere"], "no agent at nowhere"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--set", *SMALL, *settings]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.glob("run/ckpt-*"))


def test_histories_that_do_not_fit_are_refused_before_a_folder_is_made(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = ["--size", "4", "--horizon", "6", "--learners", "3"]
    path = "d/history_darkroom-4x4x6_optimistic_alg-seed0.hdf5"
    assert main(["collect", *sizes, "--out", path]) == 0
    capsys.readouterr()
    assert main(["train", "--set", *SMALL, "traj_dir=d"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and "holds histories with n_stream 3, and the configuration asks for 4" in error
    assert not Path("run").exists()


def test_a_run_that_goes_on_says_so_at_once_and_how_far_it_is(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    saved, save = [], loop.save

    def stops(*given: Any) -> Path:
        if saved:
            raise KeyboardInterrupt
        saved.append(save(*given))
        return saved[-1]

    arguments = ["train", "--set", *SMALL, "ckpt_interval=2", "eval_interval=0"]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save", stops)
        assert main(arguments) == 130
    out, error = capsys.readouterr()
    assert "goes on" not in out
    assert error.splitlines()[:2] == ["Updates: 1 of 6", "Updates: 2 of 6"], "nobody waits for the first validation"
    assert main(arguments) == 0
    out, error = capsys.readouterr()
    assert "\n  run folder run\n  goes on from update 2 of 6\n" in out
    assert error.splitlines()[0] == "Updates: 3 of 6"


def test_one_transition_of_context_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--set", *SMALL, "n_transit=1"]) == 0
    agent = keepmap.load_agent("run")
    assert agent.play(RoomVectorEnv(agent.room, 2, agent.held_out[:2]), 3).shape == (2, 3)


def test_a_compressor_longer_than_the_history_keeps_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--set", *SMALL, "compressor.name=uniform", "compressor.target_length=50"]) == 0
    agent = keepmap.load_agent("run")
    envs = RoomVectorEnv(agent.room, 2, agent.held_out[:2])
    full, kept = agent.play(envs, 4, compressor=None), agent.play(envs, 4)
    assert np.array_equal(full, kept)
