"""Collecting learning histories: read the options, collect, print what was written."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from keepmap.agents.collection.collect import Collected, planned_collection
from keepmap.agents.collection.run import CollectionRun
from keepmap.commands.progress import share_of_work
from keepmap.core.joining.options import read_options
from keepmap.errors import counted, on_one_line

__all__ = ["collect"]


def collect(
    environment: str = "darkroom",
    source: str = "optimistic",
    learners: int = 100,
    episodes: int | None = None,
    seed: int = 0,
    split: str = "guide",
    split_seed: int = 0,
    size: int | None = None,
    horizon: int | None = None,
    tasks: int | None = None,
    settings: Sequence[str] = (),
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Collected:
    """Collect the learning histories of a split's training goals, and print what was written and how they progress.

    The arguments are the options of `keepmap collect`, which `keepmap collect --help` describes. The same call goes on
    where it was, and ends with the same bytes.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    collection = planned_collection(
        environment,
        source,
        learners=learners,
        episodes=episodes,
        seed=seed,
        split=split,
        split_seed=split_seed,
        size=size,
        horizon=horizon,
        tasks=tasks,
        options=read_options(settings),
        out=out,
    )
    run = CollectionRun(collection, overwrite=overwrite)
    run.check()
    room, goals = collection.room, counted(len(collection.split.train), "goal")
    episodes_each = f"{counted(collection.episodes, 'episode')} of {counted(room.horizon, 'step')}"
    print(
        f"Collecting {room.title} with {collection.source.name}\n"
        f"  {goals}, {counted(learners, 'learner')} each, {episodes_each}",
        flush=True,
    )
    with run:
        run.begin()
        if run.n_reused:
            print(
                f"  Goes on: the histories of {run.n_reused:,} of {run.n_goals:,} goals are there already", flush=True
            )
        console = Console(stderr=True, highlight=False)
        with share_of_work("Steps", console, total=float(collection.steps)) as progress:
            collected = run.collect(progress)
    print("\n".join(_summary(collected, run.was_finished)), flush=True)
    return collected


def _summary(collected: Collected, was_finished: bool) -> list[str]:
    held_out = len(collected.split.held_out)
    time = [] if was_finished else [f"  Time: {collected.seconds:.1f} s"]
    return [
        f"Finished already: {on_one_line(collected.path)}" if was_finished else f"Wrote {on_one_line(collected.path)}",
        f"  Size: {collected.path.stat().st_size / 1e6:.1f} MB, {collected.steps:,} steps",
        f"  Goals: {len(collected.split.train):,} for training, {held_out:,} held out"
        + (" (nothing of them is in the file)" if held_out else ""),
        f"  Mean return: {collected.returns[0]:.2f} in the first episode, {collected.returns[-1]:.2f} in the last; "
        f"optimum {collected.optimum:.2f}",
        *time,
    ]
