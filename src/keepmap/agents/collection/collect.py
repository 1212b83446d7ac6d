"""From a source, a room and a split to a file of learning histories."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from keepmap.agents.collection.dataset import (
    FORMAT,
    Histories,
    HistoryWriter,
    Streams,
    bytes_of,
    open_histories,
    writing_histories,
)
from keepmap.agents.collection.naming import default_histories
from keepmap.agents.collection.source import Source, as_source
from keepmap.agents.environments.goals import Goal, Split, split_named
from keepmap.agents.environments.world import World
from keepmap.agents.families import world_named
from keepmap.core.arguments import as_function, as_integer, as_path
from keepmap.core.files import make_folder
from keepmap.core.outside.memory import require_memory
from keepmap.core.progress import Progress
from keepmap.core.storage.own import holds, require_free
from keepmap.errors import InputError

__all__ = [
    "Collected",
    "Collection",
    "check_sizes",
    "collect",
    "collect_histories",
    "collected_in",
    "goal_blocks",
    "learned",
    "planned_collection",
    "require_histories",
    "writing",
]

DATASETS = Path("datasets")
HDF5 = b"\x89HDF\r\n\x1a\n"
"""What every file of HDF5 begins with."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What is to be collected: `collect_histories` takes these as its arguments.

    Attributes:
        split: its training goals are learned.
        path: of the file to write.
        learners: of each goal; episodes: of each learner.
        seed: what the learners draw from.
    """

    room: World
    source: Source
    split: Split
    path: Path
    learners: int
    episodes: int
    seed: int

    @property
    def steps(self) -> int:
        """How many steps all learners take together."""
        return len(self.split.train) * self.learners * self.episodes * self.room.horizon


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The file that a collection wrote, and the returns in it.

    Attributes:
        steps: in the file, over all learners.
        returns: of each episode, the mean over goals and learners.
        optimum: the mean over the same goals of what an agent that knows the goal gets in the last episode.
    """

    path: Path
    split: Split
    steps: int
    returns: tuple[float, ...]
    optimum: float
    seconds: float


def collect(
    environment: str | World | type[World] = "darkroom",
    source: str | Source = "optimistic",
    *,
    learners: int = 100,
    episodes: int | None = None,
    seed: int = 0,
    split: str = "guide",
    split_seed: int = 0,
    size: int | None = None,
    horizon: int | None = None,
    tasks: int | None = None,
    options: Mapping[str, str | int | float | bool] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Histories:
    """Let a learning algorithm learn each training goal of a room, and keep what the learners see as a dataset.

    The same arguments give a file with the same bytes; nothing of a held-out goal is in it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     histories = collect("darkroom", size=3, learners=2, episodes=4, out=f"{folder}/small.hdf5")
    >>> len(histories), histories.n_learners, histories.n_steps
    (8, 2, 80)

    Args:
        environment: a room (`keepmap.environments()` has their classes) or a family of tasks (`keepmap.families()`),
            the name of one, or its Gymnasium id.
        source: the learning algorithm: the name of one, or one.
        learners: of each goal, independent of each other.
        episodes: of each learner; by default as many as the source usually needs, in a family those of a life.
        seed: of the learners.
        split: which goals are held out: as `split_named` takes it.
        split_seed: what shuffles the goals before they are split.
        size, horizon: cells along a side, and steps of an episode; the room's own by default.
        tasks: how many of a family `split_seed` draws before they are split; by default 1,000, or all where there are
            fewer.
        options: of a source that is given by its name.
        out: the file; by default one in `datasets` that is called after the arguments. Histories that are there are
            written over.
        overwrite: whether a file that holds no histories is written over, too.
        progress: called with the share of the steps that are done.

    Returns:
        The file, opened: `histories[i]` are the learners of `histories.goals[i]`.

    Raises:
        InputError: no such room, source, split or option, or nothing to collect.
        OutputError: the file cannot be written, or a file that holds no histories is there.
    """
    progress = as_function("progress", progress)
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
        options=options,
        out=out,
    )
    require_histories(collection.path, overwrite)
    collect_histories(**vars(collection), progress=progress)
    return open_histories(collection.path)


def planned_collection(
    environment: str | World | type[World],
    source: str | Source,
    *,
    learners: int,
    episodes: int | None,
    seed: int,
    split: str,
    split_seed: int,
    size: int | None,
    horizon: int | None,
    tasks: int | None = None,
    options: Mapping[str, str | int | float | bool] | None,
    out: str | Path | None,
) -> Collection:
    """What `collect` will do, checked before any work; the arguments are its own.

    Raises:
        InputError: as there.
        OutputError: the file's folder cannot be written into.
    """
    room = world_named(environment, size, horizon)
    algorithm = as_source(source, options)
    algorithm.check_world(room)
    split_seed = as_integer("split_seed", split_seed, None)
    parts = split_named(split, room.drawn_goals(tasks, split_seed), split_seed)
    episodes = (room.life or algorithm.usual_episodes) if episodes is None else episodes
    check_sizes(room, parts, learners, episodes, seed)
    algorithm.check()
    path = DATASETS / default_histories(room, algorithm.name, seed, parts) if out is None else as_path("out", out)
    if path.is_dir():
        raise InputError(f"expected `out` to be the name of a file, got the folder {path}")
    make_folder(path.parent)
    return Collection(
        room=room, source=algorithm, split=parts, path=path, learners=learners, episodes=episodes, seed=seed
    )


def require_histories(path: Path, overwrite: bool) -> None:
    """Whether a file of histories may be written to `path`.

    Raises:
        OutputError: a file that holds none is there, and `overwrite` is false.
    """
    require_free(path, holds(HDF5, FORMAT.encode()), "a file of learning histories", overwrite)


def check_sizes(room: World, split: Split, learners: int, episodes: int, seed: int) -> None:
    """Whether there is something to collect, and a goal of it goes into memory.

    Raises:
        InputError: no goals, learners or episodes, more of them than memory holds, or a seed that the file cannot hold.
    """
    if not split.train:
        raise InputError(f'the split "{split.name}" has no goals for training; hold out fewer')
    for name, value, least in (("learners", learners, 1), ("episodes", episodes, 1), ("seed", seed, 0)):
        as_integer(name, value, at_least=least)
    as_integer("split_seed", split.seed, None)
    if room.life is not None and episodes > room.life:
        raise InputError(
            f"expected `episodes` to be at most {room.life}, a life in {room.name}, got {episodes}; a learner would "
            "begin anew"
        )
    require_memory(
        bytes_of(room) * learners * episodes * room.horizon,
        f"a goal of {learners:,} learners with {episodes:,} episodes of {room.horizon:,} steps",
        "lower `learners`, `episodes` or `horizon`",
    )


def collect_histories(
    room: World,
    source: Source,
    split: Split,
    path: Path,
    *,
    learners: int,
    episodes: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> Collected:
    """Let `source` learn each training goal of `split`, and write the histories to `path`; held-out goals are not run.

    Args:
        progress: called with the share of the steps that are done.

    Raises:
        InputError: nothing to collect, or an option that the source cannot use.
        OutputError: the file cannot be written.
    """
    check_sizes(room, split, learners, episodes, seed)
    begun, done = time.perf_counter(), 0
    collection = Collection(
        room=room, source=source, split=split, path=path, learners=learners, episodes=episodes, seed=seed
    )
    blocks = goal_blocks(collection)
    with writing(collection, path) as writer:
        for goals in blocks:

            def so_far(share: float, done: int = done, count: int = len(goals)) -> None:
                if progress is not None:
                    progress((done + count * share) / len(split.train))

            streams = learned(collection, goals, so_far)
            done += len(goals)
            for number, goal in enumerate(goals):
                writer.add(goal, streams.learners(slice(number * learners, (number + 1) * learners)))
    return collected_in(collection, time.perf_counter() - begun)


def goal_blocks(collection: Collection) -> list[tuple[Goal, ...]]:
    """The training goals in the order of their numbers, in blocks of those that are learned together."""
    goals = sorted(collection.split.train, key=collection.room.index)
    at_once = max(1, collection.source.at_once // collection.learners)
    return [tuple(goals[first : first + at_once]) for first in range(0, len(goals), at_once)]


def learned(collection: Collection, goals: Sequence[Goal], progress: Progress) -> Streams:
    """What the learners of some goals saw.

    Raises:
        InputError: they do not fit into memory.
    """
    learners, episodes = collection.learners, collection.episodes
    try:
        return collection.source.learn(collection.room, goals, learners, episodes, collection.seed, progress)
    except MemoryError as error:
        raise InputError(
            f"{learners * len(goals):,} learners of {episodes:,} episodes do not fit into memory; take fewer"
        ) from error


def writing(collection: Collection, path: Path) -> AbstractContextManager[HistoryWriter]:
    """Writes a file with histories of the collection; what goes into it is for the caller to add."""
    return writing_histories(
        path,
        collection.room,
        source=collection.source.name,
        seed=collection.seed,
        options=asdict(collection.source),
        split=collection.split.name,
        split_seed=collection.split.seed,
    )


def collected_in(collection: Collection, seconds: float) -> Collected:
    """What is in the file of a collection.

    Raises:
        InputError: it is gone or damaged.
    """
    goals, horizon = collection.split.train, collection.room.horizon
    total = np.zeros(collection.episodes)
    for streams in open_histories(collection.path):
        total += streams.rewards.reshape(-1, horizon, collection.learners).sum(axis=(1, 2), dtype=np.int64)
    return Collected(
        path=collection.path,
        split=collection.split,
        steps=collection.steps,
        returns=tuple((total / (len(goals) * collection.learners)).tolist()),
        optimum=sum(
            collection.room.optimum_in(goal, collection.episodes - 1)
            for goal in sorted(goals, key=collection.room.index)
        )
        / len(goals),
        seconds=seconds,
    )
