"""Training an agent: read the configuration, train, say where the checkpoint is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, TaskID

from keepmap.agents.config import DEFAULT, Config, load_config
from keepmap.commands.progress import Lines, progress_bar
from keepmap.errors import InputError, on_one_line

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from keepmap.agents.training import Board, MakeBoard, Trained

__all__ = ["collect_missing", "train"]


def train(
    config: Sequence[str] = (), settings: Sequence[str] = (), tensorboard: bool = False, overwrite: bool = False
) -> "Trained":
    """Train an agent as files and settings configure it, and print how it goes.

    The arguments are the options of `keepmap train`, which `keepmap train --help` describes. The same call goes on from
    the last checkpoint.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    return _train(load_config(tuple(config) or DEFAULT, settings), tensorboard, overwrite)


def _train(config: Config, tensorboard: bool, overwrite: bool) -> "Trained":
    # Loads torch, which takes longer than to say that the configuration is wrong.
    from keepmap.agents.training import TrainingRun, finished_training, train_while

    make_board = _tensorboard() if tensorboard else None
    run = TrainingRun(config, overwrite=overwrite)
    run.check()
    if run.is_finished():
        with run.held():
            return _reported(finished_training(config))
    collect_missing(config, overwrite)
    compressor = config.make_compressor()
    print(
        f"Training {config.model} on {config.room().name}, split {config.split}, seed {config.env_split_seed}\n"
        f"  {config.train_timesteps:,} updates of {config.train_batch_size} histories, context {config.n_transit}"
        + (f", compressor {compressor}" if compressor else "")
        + f"\n  run folder {on_one_line(run.folder)}"
        + (f"\n  goes on from update {run.began_at:,} of {config.train_timesteps:,}" if run.began_at else ""),
        flush=True,
    )
    console = Console(stderr=True, highlight=False)
    with progress_bar(console) as bar:
        task = bar.add_task("Updates", total=config.train_timesteps)
        lines = None if console.is_terminal else Lines()
        total = config.train_timesteps

        def make_boards(run: Path, began_at: int) -> "Board":
            return Terminal(bar, task, None if make_board is None else make_board(run, began_at))

        def progress(share: float) -> None:
            bar.update(task, completed=round(share * total))
            if lines is not None:
                lines.say(lambda: f"Updates: {round(share * total):,} of {total:,}")

        trained = train_while(run.held, config, progress=progress, make_board=make_boards)
    return _reported(trained)


def _reported(trained: "Trained") -> "Trained":
    """Say where the checkpoint is, and what comes next."""
    if trained.began_at == trained.steps:
        print(f"Already trained: {on_one_line(trained.checkpoint)}; give another log_dir to train again")
    else:
        since = f" (this time from update {trained.began_at:,})" if trained.began_at else ""
        print(f"Trained {trained.steps:,} updates in {trained.seconds:.0f} s{since}: {on_one_line(trained.checkpoint)}")
    print(f"Next: keepmap evaluate --checkpoint {on_one_line(trained.checkpoint)}")
    return trained


def collect_missing(config: Config, overwrite: bool = False) -> None:
    """Collect histories that are not there yet, where no folder of them is named: most sources take a second.

    Those that are there are checked. Others go on where an earlier start was. Where another process is at it, they are
    waited for.

    Args:
        overwrite: whether other histories that were begun there are given up.
    """
    from keepmap.agents.training import check_stored, missing_histories  # loads torch

    run = missing_histories(config, overwrite)
    if run is None:
        check_stored(config)
        return
    print(f"Collecting histories into {on_one_line(config.histories_path())}", flush=True)
    if run.is_going_on:
        print("  another process collects them; waiting until it is done", flush=True)
    with run, progress_bar(Console(stderr=True, highlight=False)) as progress:
        run.begin()
        task = progress.add_task("Per cent", total=100)
        collected = run.collect(lambda share: progress.update(task, completed=round(100 * share)))
    print(
        f"  {collected.steps:,} steps, mean return {collected.returns[0]:.2f} in the first episode, "
        f"{collected.returns[-1]:.2f} in the last; optimum {collected.optimum:.2f}"
    )


class Terminal:
    """Shows a log in a terminal: the loss beside the bar, a line for each validation; and on another board."""

    def __init__(self, bar: Progress, task: TaskID, other: "Board | None" = None) -> None:
        self._bar, self._task, self._other = bar, task, other

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Show the figures of one update."""
        self._bar.update(self._task, description=f"loss {figures['loss']:.3f}")
        if "validation_loss" in figures:
            line = (
                f"  update {step:,}: loss {figures['loss']:.4f}, on other learners {figures['validation_loss']:.4f} "
                f"({100 * figures['validation_accuracy']:.1f}% of actions)"
            )
            if "training_goals_return" in figures:
                line += f", return on training goals {figures['training_goals_return']:.2f}"
            print(line, flush=True)
        if self._other is not None:
            self._other.write(step, figures)

    def close(self) -> None:
        """Close the other board, where there is one."""
        if self._other is not None:
            self._other.close()


class TensorBoard:
    """Writes a log's figures as curves of TensorBoard."""

    def __init__(self, writer: "SummaryWriter") -> None:
        self._writer = writer

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Add a point to each figure's curve."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def _tensorboard() -> "MakeBoard":
    """Writes TensorBoard's files into the run's folder; of updates that are done again, the later ones count."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "tensorboard=True needs the package tensorboard; install it: pip install 'keepmap[tensorboard]'"
        ) from None
    return lambda run, began_at: TensorBoard(SummaryWriter(str(run), purge_step=began_at + 1))
