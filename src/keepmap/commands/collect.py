"""Collecting learning histories: check what was asked, collect, say what was written."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from keepmap.agents.collection.collect import Collected, check_sizes, collect_histories
from keepmap.agents.collection.naming import default_histories
from keepmap.agents.collection.source import make_source
from keepmap.agents.environments import room_named
from keepmap.agents.environments.goals import split_named
from keepmap.commands.progress import progress_bar
from keepmap.core.files import make_folder
from keepmap.core.registry import read_options
from keepmap.errors import InputError

__all__ = ["collect"]


def collect(
    environment: str = "darkroom",
    source: str = "optimistic",
    learners: int = 100,
    episodes: int | None = None,
    seed: int = 0,
    split: str = "seed",
    split_seed: int = 0,
    size: int | None = None,
    horizon: int | None = None,
    settings: Sequence[str] = (),
    out: str | Path | None = None,
) -> Collected:
    """Collect the learning histories of a split's training goals, and print what was written and how they progress.

    The arguments are the options of `keepmap collect`, which `keepmap collect --help` describes.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    room = room_named(environment, size, horizon)
    algorithm = make_source(source, read_options(settings))
    parts = split_named(split, room.goals, split_seed)
    episodes = algorithm.usual_episodes if episodes is None else episodes
    check_sizes(parts, learners, episodes, seed)
    algorithm.check()
    if out is None:
        out = Path("datasets") / default_histories(room, source, seed, parts)
    path = Path(out)
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; name a file in it")
    make_folder(path.parent)
    print(
        f"Collecting {room.name} {room.size}x{room.size} with {source}\n"
        f"  {len(parts.train):,} goals, {learners:,} learners each, {episodes:,} episodes of {room.horizon} steps",
        flush=True,
    )
    with progress_bar(Console(stderr=True, highlight=False)) as progress:
        task = progress.add_task("Steps", total=len(parts.train) * learners * episodes * room.horizon)
        collected = collect_histories(
            room,
            algorithm,
            parts,
            path,
            learners=learners,
            episodes=episodes,
            seed=seed,
            tell=lambda steps: progress.advance(task, steps),
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
