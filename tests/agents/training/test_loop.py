"""Training an agent: it goes on where it was killed, stops on a NaN loss, and never loses a checkpoint."""

import json
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import keepmap.agents.training.loop as loop
from keepmap.agents.acting.agent import load_agent
from keepmap.agents.checkpoints import newest_checkpoint
from keepmap.agents.collection.dataset import open_histories
from keepmap.agents.config import Config
from keepmap.agents.training.log import read_log
from keepmap.agents.training.loop import train
from keepmap.core.progress import Progress
from keepmap.errors import ImpossibleResultError, InputError, ModelError, OutputError

COMPRESSORS = [None, {"name": "recency", "keep_recent": 3}, {"name": "attention", "target_length": 3}]


class Killed(Exception):
    """In place of a signal."""


def killed_at(update: int) -> Progress:
    """A run of 12 updates is killed at one of them."""

    def progress(share: float) -> None:
        if round(12 * share) == update:
            raise Killed

    return progress


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
            train(stopped, progress=killed_at(update))
    trained = train(stopped)
    assert trained.began_at == 10
    whole, other = weights(config), weights(stopped)
    assert whole.keys() == other.keys()
    for name, value in whole.items():
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


def test_the_agent_and_its_run_are_at_hand(config: Config, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shares: list[float] = []
    trained = train(config, progress=shares.append)
    assert shares == [step / 12 for step in range(1, 13)]
    assert trained.run == config.run_folder() and trained.checkpoint.parent == trained.run
    assert (trained.agent.step, trained.agent.config) == (12, config)
    assert trained.agent is trained.agent
    assert capfd.readouterr() == ("", "")


def test_files_and_settings_are_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From nothing: the histories are collected, too."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("grid_size: 3\nhorizon: 6\nmax_reward: 6\nn_stream: 2\nlog_dir: run\n")
    settings = ("n_transit=12", "train_timesteps=2", "train_batch_size=4", "tf_n_embd=16", "tf_n_head=2")
    trained = train("mine.yaml", settings=settings)
    assert (trained.run, trained.steps, trained.agent.config.grid_size) == (Path("run"), 2, 3)
    assert len(list(Path("datasets").glob("*.hdf5"))) == 1
    assert train(["mine.yaml"], settings=settings).began_at == 2
    with pytest.raises(InputError, match="expected `settings` to be empty beside a Config, got n_transit=3"):
        train(trained.agent.config, settings=["n_transit=3"])


def test_the_loss_falls(config: Config) -> None:
    train(replace(config, train_timesteps=150, lr=3e-3, eval_interval=0, gen_interval=150, summary_interval=1))
    losses = [entry["loss"] for entry in read_log(config.run_folder() / "log.jsonl")]
    assert len(losses) == 150
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
    real = loop.every_step

    def failing(*arguments: object, **options: object) -> object:
        loss = real(*arguments, **options)  # type: ignore[arg-type]
        failing.calls += 1  # type: ignore[attr-defined]
        return replace(loss, value=loss.value * float("nan")) if failing.calls == 8 else loss  # type: ignore[attr-defined]

    failing.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(loop, "every_step", failing)
    with pytest.raises(ImpossibleResultError, match=r"loss of update 8 is nan.*ckpt-5.*lower"):
        train(replace(config, eval_interval=0))
    newest = newest_checkpoint(config.run_folder())
    assert newest is not None
    assert newest.name == "ckpt-5"
    assert all(value.isfinite().all() for value in weights(config).values())


def test_a_full_disk_leaves_the_previous_checkpoint(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer's own error: the size of a file is limited while the second checkpoint is written."""
    real = Path.write_bytes
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def full(path: Path, content: bytes) -> int:
        if "ckpt-10" in str(path):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            return real(path, content)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(Path, "write_bytes", full)
    try:
        with pytest.raises(OutputError, match="cannot write .*ckpt-10"):
            train(config)
    finally:
        signal.signal(signal.SIGXFSZ, before)
    run = config.run_folder()
    assert sorted(path.name for path in run.iterdir()) == [".lock", "ckpt-5", "log.jsonl"]
    assert load_agent(run).step == 5
    monkeypatch.undo()
    assert train(config).began_at == 5


def test_two_trainings_do_not_share_a_folder(config: Config) -> None:
    def second(share: float) -> None:
        with pytest.raises(InputError, match="another training is going on in"):
            train(config)

    train(config, progress=second)
    assert [entry["step"] for entry in read_log(config.run_folder() / "log.jsonl")] == [3, 5, 6, 9, 10, 12]


def test_what_a_killed_run_left_half_written_is_cleared_away(config: Config) -> None:
    with pytest.raises(Killed):
        train(config, progress=killed_at(7))
    (config.run_folder() / ".ckpt-10.999999999.part").mkdir()
    train(config)
    assert not list(config.run_folder().glob(".ckpt-*"))


def test_a_context_longer_than_the_histories_is_an_error(config: Config) -> None:
    with pytest.raises(InputError, match="n_transit is 31, and the histories that train have 30 steps"):
        train(replace(config, n_transit=31))
    with pytest.raises(InputError, match="have 6 steps"):
        train(replace(config, last_episodes=1))


def test_keys_that_no_weight_depends_on_may_change(config: Config) -> None:
    with pytest.raises(Killed):
        train(config, progress=killed_at(7))
    assert train(replace(config, ckpt_interval=2, summary_interval=1)).began_at == 5


@pytest.mark.parametrize("key", ["train", "held_out", "step", "config", "schema_version", "seconds"])
@pytest.mark.parametrize("value", [None, "x", [[9, 9]]])
def test_facts_that_are_damaged_are_one_line(trained: Path, key: str, value: object) -> None:
    path = trained / "checkpoint.json"
    facts = json.loads(path.read_text())
    del facts["checksum"]
    if value is None:
        del facts[key]
    else:
        facts[key] = value
    path.write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="train the agent again"):
        load_agent(trained)


def test_moments_that_are_missing_are_one_line(config: Config) -> None:
    with pytest.raises(Killed):
        train(config, progress=killed_at(7))
    path = config.run_folder() / "ckpt-5" / "training.safetensors"
    tensors = load_file(path)
    del tensors["exp_avg.action.weight"]
    save_file(tensors, path)
    with pytest.raises(ModelError, match=r"lacks exp_avg\.action\.weight; delete"):
        train(config)


def test_who_can_read_the_facts_can_read_the_weights(trained: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in trained.iterdir()}
    assert len(modes) == 1


@pytest.fixture
def trained(config: Config) -> Path:
    """The folder of a checkpoint that may be damaged."""
    return train(replace(config, train_timesteps=1, eval_interval=0)).checkpoint


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
    ("change", "message"),
    [
        ({"traj_dir": "nowhere"}, "no histories at nowhere"),
        ({"train_n_stream": 4}, "has 4 learners of each goal, and 4 are to train and 1 to validate"),
        ({"last_episodes": 6}, "has 5 episodes of 6 steps"),
        ({"horizon": 5, "max_reward": 5.0}, "collect"),
    ],
)
def test_histories_that_do_not_fit_are_an_error(config: Config, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(replace(config, **change))  # type: ignore[arg-type]


def test_another_configuration_does_not_go_on_with_a_run(config: Config) -> None:
    train(config)
    with pytest.raises(InputError, match=r"holds a run with n_transit 12, not 11; delete"):
        train(replace(config, n_transit=11))


def test_a_damaged_checkpoint_is_named(config: Config) -> None:
    folder = train(config).checkpoint
    facts = json.loads((folder / "checkpoint.json").read_text())
    facts["config"]["tf_n_embd"] = 8
    (folder / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=r"its checksum is not that of what it holds\); train the agent again"):
        load_agent(folder)
    del facts["checksum"]
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
