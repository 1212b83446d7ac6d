"""Collecting learning histories: read the options, collect, print what was written."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from keepmap.agents.collection.collect import Collected, collect_histories, planned_collection
from keepmap.commands.progress import progress_bar
from keepmap.core.joining.options import read_options

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
    room, goals = collection.room, len(collection.split.train)
    print(
        f"Collecting {room.name} {room.size}x{room.size} with {collection.source.name}\n"
        f"  {goals:,} goals, {learners:,} learners each, {collection.episodes:,} episodes of {room.horizon} steps",
        flush=True,
    )
    with progress_bar(Console(stderr=True, highlight=False)) as progress:
        total = goals * learners * collection.episodes * room.horizon
        task = progress.add_task("Steps", total=total)
        collected = collect_histories(
            **vars(collection), progress=lambda share: progress.update(task, completed=round(share * total))
        )
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
