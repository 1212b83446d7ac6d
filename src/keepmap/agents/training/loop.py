"""The training loop of an agent: going on from the last checkpoint, as if it had never stopped."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.acting.rollout import play
from keepmap.agents.checkpoints import read_checkpoint
from keepmap.agents.collection.dataset import open_histories
from keepmap.agents.compressor import Compressor
from keepmap.agents.config import DEFAULT, Config, load_config
from keepmap.agents.config.load import as_config_files
from keepmap.agents.config.sizes import check_training_memory
from keepmap.agents.environments.goals import Split
from keepmap.agents.families import copies_of
from keepmap.agents.training.histories import check_histories, collect_configured, histories_missing
from keepmap.agents.training.log import Board, Log
from keepmap.agents.training.loss import Loss, every_step, shortened
from keepmap.agents.training.state import FOLDER_OPTION, prepared, save
from keepmap.agents.training.windows import WindowBatch, Windows, load_windows
from keepmap.agents.transformer import DecisionTransformer
from keepmap.core.arguments import as_function, shown
from keepmap.core.files import make_folder
from keepmap.core.html import card
from keepmap.core.joining.options import as_settings
from keepmap.core.progress import Progress
from keepmap.core.runs.lock import alone_in
from keepmap.errors import ImpossibleResultError, InputError

__all__ = ["MakeBoard", "Trained", "finished_training", "train", "train_while"]

LOWEST = 0.02  # of the learning rate, at the end
CLIP = 1.0
TRAIN, VALIDATE = 0, 1  # which draws a random number belongs to


@dataclass(frozen=True)
class Trained:
    """A finished training: its last checkpoint, and how long it took.

    Attributes:
        checkpoint: its folder, in that of the run.
        steps: updates in all.
        began_at: the update that this run went on from.
        seconds: of training, over all the runs that it took.
    """

    checkpoint: Path
    steps: int
    began_at: int
    seconds: float

    def _repr_html_(self) -> str:
        """For notebooks: where the checkpoint is, and what it took."""
        rows = [
            ("updates", f"{self.steps:,}"),
            ("went on from", f"{self.began_at:,}"),
            ("seconds", f"{self.seconds:.1f}"),
        ]
        return card(f"Trained: {self.checkpoint}", ("", "value"), rows)

    @property
    def run(self) -> Path:
        """The run's folder: checkpoints, and a log."""
        return self.checkpoint.parent

    @cached_property
    def agent(self) -> Agent:
        """The agent of the last checkpoint.

        Raises:
            ModelError: the checkpoint is gone or damaged.
        """
        return load_agent(self.checkpoint)


MakeBoard = Callable[[Path, int], Board]
"""From the run's folder and the update that it goes on from to a board for the log's entries."""


def train(
    config: Config | str | Path | Sequence[str | Path] | None = None,
    *,
    settings: Sequence[str] = (),
    progress: Progress | None = None,
    make_board: MakeBoard | None = None,
) -> Trained:
    """Train an agent as configured, in `config.run_folder()`; goes on from that folder's newest checkpoint.

    A run that was killed and went on ends with the same weights as one that was not, on as many threads. Histories that
    are not there yet are collected first, where no folder of them is named (`traj_dir`).

    >>> import contextlib, tempfile
    >>> small = ["grid_size=3", "n_stream=2", "n_transit=40", "train_timesteps=2", "train_batch_size=4"]
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    ...     trained = train(settings=[*small, "log_dir=run"])
    ...     print(trained.agent.step, trained.run)
    2 run

    Args:
        config: a configuration, or YAML files of which later ones win, as `load_config` takes them; by default
            the guide's dark room, optimistic learners.
        settings: keys of the configuration as `name=value`; they win over the files.
        progress: called with the share of the updates that are done.
        make_board: makes what shows the log's entries elsewhere (a terminal, TensorBoard), once everything has been
            checked.

    Raises:
        InputError: a configuration that is not supported, no histories, other ones than it needs, or a run of another
            configuration.
        ImpossibleResultError: the loss is not finite; the last good checkpoint stays.
        OutputError: the run's folder cannot be written, or the disk is full; the last checkpoint stays.
    """
    config = _configured(config, settings)
    progress, make_board = as_function("progress", progress), as_function("make_board", make_board)

    @contextmanager
    def alone() -> Iterator[None]:
        with alone_in(make_folder(config.run_folder()), "training", FOLDER_OPTION):
            yield

    return train_while(alone, config, progress, make_board)


def train_while(
    holding: Callable[[], AbstractContextManager[None]],
    config: Config,
    progress: Progress | None = None,
    make_board: MakeBoard | None = None,
) -> Trained:
    """As `train`, in a folder that the caller keeps others out of: `holding` is entered once all else was checked.

    Raises:
        KeepmapError: as `train`.
    """
    check_training_memory(config)
    split, compressor = config.goal_split(), config.make_compressor()
    if histories_missing(config):
        collect_configured(config)
    windows, validation = _histories(config, split)
    with holding():
        return _train(config, progress, split, compressor, windows, validation, config.run_folder(), make_board)


def finished_training(config: Config) -> Trained:
    """The training whose last checkpoint is there.

    Raises:
        ModelError: it is damaged.
    """
    last = config.run_folder() / f"ckpt-{config.train_timesteps}"
    seconds = float(read_checkpoint(last).facts["seconds"])
    return Trained(last, config.train_timesteps, config.train_timesteps, seconds)


def _configured(config: Config | str | Path | Sequence[str | Path] | None, settings: Sequence[str]) -> Config:
    settings = as_settings(settings)
    config = DEFAULT if config is None else config
    if not isinstance(config, Config | str | Path | Sequence):
        raise InputError(f"expected `config` to be a Config or YAML files, got {shown(config)}")
    if not isinstance(config, Config):
        paths = as_config_files("config", config)
        if not paths:
            raise InputError(
                "expected `config` to be a Config or one YAML file or more, got none; leave it out for the default"
            )
        return load_config(paths, settings)
    if settings:
        raise InputError(
            f"expected `settings` to be empty beside a Config, got {', '.join(settings)}; change it by "
            "dataclasses.replace"
        )
    return config


def _train(
    config: Config,
    progress: Progress | None,
    split: Split,
    compressor: Compressor | None,
    windows: Windows,
    validation: Windows,
    run: Path,
    make_board: MakeBoard | None,
) -> Trained:
    model, optimizer, begun = prepared(config, run)
    seconds_before = float(begun.facts["seconds"]) if begun else 0.0
    began_at = begun.step if begun else 0
    last = begun.folder if begun else None
    if began_at == config.train_timesteps:
        make_board = None  # nothing is left that it would show
    log = Log(run / "log.jsonl", began_at, None if make_board is None else make_board(run, began_at))
    started = time.perf_counter()
    for step in range(began_at + 1, config.train_timesteps + 1):
        rate = _rate(config, step)
        loss = _update(config, model, optimizer, windows, compressor, step, rate)
        value = float(loss.value.detach())
        if not math.isfinite(value):
            kept = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
            raise ImpossibleResultError(
                f"the loss of update {step} is {value}; {kept}; train with a lower learning rate (lr={config.lr:g})"
            )
        figures = {"loss": value, "accuracy": float(loss.accuracy), "lr": rate}
        due = step == config.train_timesteps
        if config.eval_interval and (due or step % config.eval_interval == 0):
            validated = _validated(config, model, validation, compressor)
            figures |= {"validation_loss": float(validated.value), "validation_accuracy": float(validated.accuracy)}
        if config.gen_interval and (due or step % config.gen_interval == 0):
            figures["training_goals_return"] = _in_context(config, model, split, compressor)
        if due or step % config.summary_interval == 0 or len(figures) > 3:
            log.write(step, figures)
        if progress is not None:
            progress(step / config.train_timesteps)
        if due or step % config.ckpt_interval == 0:
            seconds = seconds_before + time.perf_counter() - started
            last = save(config, split, run, model, optimizer, step, seconds)
    log.close()
    assert last is not None
    return Trained(last, config.train_timesteps, began_at, float(read_checkpoint(last).facts["seconds"]))


def _histories(config: Config, split: Split) -> tuple[Windows, Windows]:
    """Those that train, and those of other learners of the same goals, that validate."""
    histories = open_histories(config.histories_path())
    check_histories(config, histories)
    path = histories.path
    used = histories.n_learners - 1 if config.train_n_stream is None else config.train_n_stream
    if used >= histories.n_learners:
        raise InputError(
            f"{path} has {histories.n_learners} learners of each goal, and {used} are to train and 1 to validate; "
            "collect more (n_stream), or lower train_n_stream"
        )
    steps = histories.n_steps if config.train_source_timesteps is None else config.train_source_timesteps
    steps = min(steps, histories.n_steps)
    steps = steps if config.last_episodes is None else min(steps, config.last_episodes * histories.room.horizon)
    if config.n_transit > steps:
        raise InputError(
            f"n_transit is {config.n_transit}, and the histories that train have {steps} steps; lower n_transit, or "
            "collect more episodes (n_episodes)"
        )
    limits = {"most_steps": config.train_source_timesteps, "last_episodes": config.last_episodes}
    return (
        load_windows(histories, slice(0, used), split.held_out, **limits),
        load_windows(histories, slice(used, None), split.held_out, **limits),
    )


def _update(
    config: Config,
    model: DecisionTransformer,
    optimizer: torch.optim.Optimizer,
    windows: Windows,
    compressor: Compressor | None,
    step: int,
    rate: float,
) -> Loss:
    """One update. All that is random in it comes from (seed, step), so that it does not matter what came before."""
    draws = np.random.default_rng([config.train_seed, TRAIN, step])
    torch.manual_seed(int(draws.integers(2**62)))
    batch = windows.batch(draws, config.train_batch_size, config.n_transit, config.from_start)
    loss = _loss(config, model, batch, compressor, draws)
    if torch.isfinite(loss.value):
        loss.value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return loss


def _loss(
    config: Config,
    model: DecisionTransformer,
    batch: WindowBatch,
    compressor: Compressor | None,
    draws: np.random.Generator,
) -> Loss:
    fast = torch.autocast("cpu", torch.bfloat16) if config.mixed_precision == "bf16" else nullcontext()
    with fast:
        if compressor is None:
            return every_step(model, batch, config.label_smoothing, fused=config.flash_attn)
        return shortened(model, batch, compressor, config.compress_labels, draws, config.label_smoothing)


def _validated(config: Config, model: DecisionTransformer, windows: Windows, compressor: Compressor | None) -> Loss:
    """On windows of learners that did not train; the same ones each time."""
    draws = np.random.default_rng([config.train_seed, VALIDATE])
    batch = windows.batch(draws, config.test_batch_size, config.n_transit, config.from_start)
    model.eval()
    with torch.no_grad():
        loss = _loss(config, model, batch, compressor, draws)
    model.train()
    return loss


def _in_context(config: Config, model: DecisionTransformer, split: Split, compressor: Compressor | None) -> float:
    """The mean return over some training goals and a window's worth of episodes; no held-out goal is looked at."""
    room = config.room()
    goals = split.train[:10]
    episodes = max(1, config.n_transit // room.horizon)
    model.eval()
    returns = play(
        model,
        copies_of(room, goals),
        episodes,
        size=config.n_transit,
        slide=config.slide(),
        seed=config.train_seed,
        compressor=compressor,
    )
    model.train()
    return float(returns.mean())


def _rate(config: Config, step: int) -> float:
    """A linear rise, then a cosine down."""
    rise = min(1.0, step / max(1, config.num_warmup_steps))
    fall = 0.5 * (1 + math.cos(math.pi * step / config.train_timesteps))
    return config.lr * rise * (LOWEST + (1 - LOWEST) * fall)
