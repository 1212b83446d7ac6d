"""Collecting learning histories: read the options, collect, print what was written."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from keepmap.agents.collection.collect import Collected, collect_histories, planned_collection
from keepmap.commands.progress import share_of_work
from keepmap.core.joining.options import read_options
from keepmap.errors import counted

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
    settings: Sequence[str] = (),
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Collected:
    """Collect the learning histories of a split's training goals, and print what was written and how they progress.

    The arguments are the options of `keepmap collect`, which `keepmap collect --help` describes.

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
        options=read_options(settings),
        out=out,
        overwrite=overwrite,
    )
    room, goals = collection.room, counted(len(collection.split.train), "goal")
    episodes_each = f"{counted(collection.episodes, 'episode')} of {counted(room.horizon, 'step')}"
    print(
        f"Collecting {room.name} {room.size}x{room.size} with {collection.source.name}\n"
        f"  {goals}, {counted(learners, 'learner')} each, {episodes_each}",
        flush=True,
    )
    with share_of_work("Steps", Console(stderr=True, highlight=False), total=float(collection.steps)) as progress:
        collected = collect_histories(**vars(collection), progress=progress)
    print("\n".join(_summary(collected)), flush=True)
    return collected


def _summary(collected: Collected) -> list[str]:
    held_out = len(collected.split.held_out)
    return [
        f"Wrote {collected.path}",
        f"  Size: {collected.path.stat().st_size / 1e6:.1f} MB, {collected.steps:,} steps",
        f"  Goals: {len(collected.split.train):,} for training, {held_out:,} held out"
        + (" (nothing of them is in the file)" if held_out else ""),
        f"  Mean return: {collected.returns[0]:.2f} in the first episode, {collected.returns[-1]:.2f} in the last; "
        f"optimum {collected.optimum:.2f}",
        f"  Time: {collected.seconds:.1f} s",
    ]
