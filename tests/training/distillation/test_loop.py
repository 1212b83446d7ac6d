"""Training an agent: it goes on where it was killed, stops on a NaN loss, and never loses a checkpoint."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import keepmap.training.distillation.loop as loop
from keepmap.config import Config
from keepmap.data.histories import open_histories
from keepmap.errors import ImpossibleResultError, InputError, ModelError, OutputError
from keepmap.evaluation.agent import load_agent
from keepmap.models.checkpoints import newest_checkpoint
from keepmap.training.distillation.log import read_log
from keepmap.training.distillation.loop import train

COMPRESSORS = [None, {"name": "recency", "keep_recent": 3}, {"name": "attention", "target_length": 3}]


class Killed(Exception):
    """In place of a signal."""


def killed_at(update: int) -> loop.Watch:
    def watch(step: int, figures: Mapping[str, float]) -> None:
        if step == update:
            raise Killed

    return watch


def weights(config: Config) -> dict[str, torch.Tensor]:
    return dict(load_agent(config.run_folder()).model.state_dict())


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_a_killed_run_ends_with_the_same_weights_and_log(
    config: Config, tmp_path: Path, compressor: dict[str, object] | None
) -> None:
    config = replace(config, compressor=compressor, tf_dropout=0.1, tf_attn_dropout=0.1)
    train(config)
    stopped = replace(config, log_dir=str(tmp_path / "stopped"))
    for update in (8, 11):
        with pytest.raises(Killed):
            train(stopped, killed_at(update))
    trained = train(stopped)
    assert trained.began_at == 10
    one, other = weights(config), weights(stopped)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    logs = [read_log(Path(run.run_folder()) / "log.jsonl") for run in (config, stopped)]
    assert logs[0] == logs[1]
    assert [entry["step"] for entry in logs[0]] == [3, 5, 6, 9, 10, 12]
    assert {"validation_loss", "validation_accuracy"} < set(logs[0][-1])


def test_a_run_that_is_done_is_not_done_again(config: Config) -> None:
    first = train(config)
    again = train(config)
    assert again.began_at == again.steps == 12
    assert again.checkpoint == first.checkpoint


def test_the_loss_falls(config: Config) -> None:
    losses: list[float] = []
    train(
        replace(config, train_timesteps=150, lr=3e-3, eval_interval=0, gen_interval=150),
        lambda step, figures: losses.append(figures["loss"]),
    )
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20])
    assert read_log(config.run_folder() / "log.jsonl")[-1]["training_goals_return"] >= 0


def test_all_that_acts_on_an_update_changes_the_weights(config: Config, tmp_path: Path) -> None:
    """Every key of the loop and the loss, against a run without it."""
    base = replace(config, train_timesteps=2, eval_interval=0)
    changes: list[dict[str, object]] = [
        {"lr": 1e-2},
        {"beta1": 0.5},
        {"beta2": 0.5},
        {"weight_decay": 0.5, "lr": 0.1},
        {"label_smoothing": 0.2},
        {"num_warmup_steps": 0},
        {"train_seed": 1},
        {"train_batch_size": 5},
        {"train_n_stream": 2},
        {"train_source_timesteps": 12},
        {"last_episodes": 2},
        {"from_start": 1.0},
        {"mixed_precision": "fp32"},
        {"n_transit": 7},
        {"compressor": {"name": "uniform", "target_length": 2}},
    ]
    train(base)
    before = weights(base)
    for number, change in enumerate(changes):
        run = replace(base, **change, log_dir=str(tmp_path / str(number)))  # type: ignore[arg-type]
        train(run)
        after = weights(run)
        assert any(not torch.equal(before[name], after[name]) for name in before), change
    explicit = replace(base, flash_attn=False, mixed_precision="fp32", log_dir=str(tmp_path / "explicit"))
    fused = replace(explicit, flash_attn=True, log_dir=str(tmp_path / "fused"))
    train(explicit)
    train(fused)
    for name, value in weights(explicit).items():
        assert (value - weights(fused)[name]).abs().max() < 1e-4


def test_training_can_start_from_another_agents_weights(config: Config, tmp_path: Path) -> None:
    train(config)
    other = replace(config, init=str(config.run_folder()), lr=1e-12, weight_decay=0.0, log_dir=str(tmp_path / "next"))
    train(other)
    for name, value in weights(config).items():
        assert (value - weights(other)[name]).abs().max() < 1e-6
    with pytest.raises(ModelError, match="does not fit the configuration"):
        train(replace(other, tf_n_embd=8, log_dir=str(tmp_path / "wide")))


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop._loss

    def failing(*arguments: object) -> object:
        loss = real(*arguments)  # type: ignore[arg-type]
        failing.calls += 1  # type: ignore[attr-defined]
        return replace(loss, value=loss.value * float("nan")) if failing.calls == 8 else loss  # type: ignore[attr-defined]

    failing.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(loop, "_loss", failing)
    with pytest.raises(ImpossibleResultError, match=r"loss of update 8 is nan.*ckpt-5.*lower"):
        train(replace(config, eval_interval=0))
    newest = newest_checkpoint(config.run_folder())
    assert newest is not None
    assert newest.name == "ckpt-5"
    assert all(value.isfinite().all() for value in weights(config).values())


def test_a_full_disk_leaves_the_previous_checkpoint(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    import keepmap.models.checkpoints as checkpoints

    real = checkpoints._save

    def full(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        if "ckpt-10" in str(path):
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real(path, tensors)

    monkeypatch.setattr(checkpoints, "_save", full)
    with pytest.raises(OutputError, match="No space left"):
        train(config)
    run = config.run_folder()
    assert sorted(path.name for path in run.iterdir()) == ["ckpt-5", "log.jsonl"]
    assert load_agent(run).step == 5
    monkeypatch.undo()
    assert train(config).began_at == 5


def test_nothing_of_a_held_out_goal_reaches_training(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every state that training reads belongs to a learner of a training goal, and files with others are refused."""
    held_out = set(config.goal_split().held_out)
    assert held_out
    histories = open_histories(config.histories_path())
    assert not held_out & set(histories.goals)
    train(config)
    agent = load_agent(config.run_folder())
    assert set(agent.held_out) == held_out
    assert not held_out & set(agent.train)
    # The same file under the name that another split's histories have.
    other = replace(config, split="1/4", log_dir=f"{config.log_dir}-other")
    shutil.copy(config.histories_path(), other.histories_path())
    with pytest.raises(InputError, match=r"goals that the split 1/4 of seed 0 does not train on"):
        train(other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"traj_dir": "nowhere"}, "no histories at nowhere"),
        ({"train_n_stream": 4}, "has 4 learners of each goal, and 4 are to train and 1 to validate"),
        ({"last_episodes": 6}, "has 5 episodes of 6 steps"),
        ({"horizon": 5, "max_reward": 5.0}, "collect"),
    ],
)
def test_histories_that_do_not_fit_are_an_error(config: Config, change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        train(replace(config, **change))  # type: ignore[arg-type]


def test_another_configuration_does_not_go_on_with_a_run(config: Config) -> None:
    train(config)
    with pytest.raises(InputError, match=r"holds a run with n_transit 12, and 11 was asked for"):
        train(replace(config, n_transit=11))


def test_a_damaged_checkpoint_is_named(config: Config) -> None:
    folder = train(config).checkpoint
    facts = json.loads((folder / "checkpoint.json").read_text())
    facts["config"]["tf_n_embd"] = 8
    (folder / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=r"does not fit its configuration: .* train the agent again"):
        load_agent(folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"cannot read .*model\.safetensors"):
        load_agent(folder)
    (folder / "checkpoint.json").write_text("{")
    with pytest.raises(ModelError, match="cannot read"):
        load_agent(folder)
    with pytest.raises(ModelError, match="no such folder"):
        load_agent(folder / "missing")
