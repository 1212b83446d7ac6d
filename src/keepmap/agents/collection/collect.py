"""From a source, a room and a split to a file of learning histories."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from keepmap.agents.collection.dataset import Streams, writing_histories
from keepmap.agents.collection.source import Source, Tell
from keepmap.agents.environments.goals import Split
from keepmap.agents.environments.room import Room
from keepmap.errors import InputError

__all__ = ["Collected", "check_sizes", "collect_histories"]

AT_ONCE = 2000  # learners: enough that the arrays' work outweighs the calls', few enough for the cache


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What a collection has written.

    Attributes:
        steps: in the file, over all learners.
        returns: of each episode, the mean over goals and learners.
        optimum: the mean over the same goals of what an agent that knows the goal gets.
    """

    path: Path
    split: Split
    steps: int
    returns: tuple[float, ...]
    optimum: float
    seconds: float


def check_sizes(split: Split, learners: int, episodes: int, seed: int) -> None:
    """Whether there is something to collect.

    Raises:
        InputError: no goals, learners or episodes, or a seed that the file cannot hold.
    """
    if not split.train:
        raise InputError(f'the split "{split.name}" has no goals for training; hold out fewer')
    sizes = (("a number of learners", learners, 1), ("a number of episodes", episodes, 1), ("a seed", seed, 0))
    for name, value, least in sizes:
        if value < least:
            raise InputError(f"{name} of {value} was asked for; it must be {least} or more")
    for seeds in (seed, split.seed):
        if abs(seeds) >= 2**63:
            raise InputError(f"a seed of {seeds} was asked for; it must be below 2 ** 63")


def collect_histories(
    room: Room,
    source: Source,
    split: Split,
    path: Path,
    *,
    learners: int,
    episodes: int,
    seed: int = 0,
    tell: Tell = lambda steps: None,
) -> Collected:
    """Let `source` learn each training goal of `split`, and write the histories to `path`; held-out goals are not run.

    Raises:
        InputError: nothing to collect, or an option that the source cannot use.
        OutputError: the file cannot be written.
    """
    check_sizes(split, learners, episodes, seed)
    begun = time.perf_counter()
    goals = sorted(split.train, key=room.index)
    at_once = max(1, AT_ONCE // learners)
    total = np.zeros(episodes)
    with writing_histories(
        path,
        room,
        source=source.name,
        seed=seed,
        options=asdict(source),
        split=split.name,
        split_seed=split.seed,
    ) as writer:
        for first in range(0, len(goals), at_once):
            some = goals[first : first + at_once]
            try:
                streams = source.learn(room, some, learners, episodes, seed, tell)
            except MemoryError as error:
                raise InputError(
                    f"{learners * len(some):,} learners of {episodes:,} episodes do not fit into memory; take fewer"
                ) from error
            total += _returns(streams, room.horizon).sum(axis=1)
            for number, goal in enumerate(some):
                writer.add(goal, streams.learners(slice(number * learners, (number + 1) * learners)))
    return Collected(
        path=path,
        split=split,
        steps=len(goals) * learners * episodes * room.horizon,
        returns=tuple((total / (len(goals) * learners)).tolist()),
        optimum=sum(map(room.optimum, goals)) / len(goals),
        seconds=time.perf_counter() - begun,
    )


def _returns(streams: Streams, horizon: int) -> np.ndarray:
    """Of each episode and learner, [E, n]."""
    steps, n = streams.rewards.shape
    return streams.rewards.reshape(steps // horizon, horizon, n).sum(axis=1, dtype=np.int64)
