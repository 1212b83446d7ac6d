"""A learner that remembers the cell that it was shown, and claims it at the end of its life."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32, Int

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.collection.lives import live
from keepmap.agents.collection.source import Source
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.world import World
from keepmap.agents.families.worlds.recall_room import CLAIM, RecallRoom
from keepmap.core.progress import Progress

__all__ = ["Keeper"]

RIGHT, LEFT, UP, DOWN = range(4)


@dataclass(frozen=True)
class Keeper(Source):
    """Walks about, and in the last episode to the cell that the life's first observation showed.

    Until then it goes right and left in turn, the same for every goal, so that nothing but the first observation tells
    which cell it is: a learner that claimed the cell in each episode would show it to itself.

    Reference: none.
    """

    name: ClassVar[str] = "keeper"
    usual_episodes: ClassVar[int] = 8
    suits: ClassVar[type[World]] = RecallRoom

    def learn(
        self,
        room: World,
        goals: Sequence[Goal],
        learners: int,
        episodes: int,
        seed: int,
        progress: Progress | None = None,
    ) -> Streams:
        assert isinstance(room, RecallRoom)
        last = room.episodes - 1
        return live(room, goals, learners, episodes, seed, progress, 1, lambda n: _Learners(last, n))


class _Learners:
    def __init__(self, last: int, n: int) -> None:
        self._last, self._claimed = last, np.zeros(n, dtype=np.bool_)
        self._shown = np.zeros((n, 2), dtype=np.int64)

    def act(
        self, seen: Int[np.ndarray, "n D"], episode: int, step: int, draws: Float32[np.ndarray, "n width"]
    ) -> Int[np.ndarray, " n"]:
        """Right and left in turn; in the last episode along x or y, as chance has it, to the cell, and claim it."""
        if episode == 0 and step == 0:
            self._shown = seen[:, 2:] - 1
        pacing = np.full(len(seen), RIGHT if step % 2 == 0 else LEFT)
        if episode < self._last:
            return pacing
        ahead = self._shown - seen[:, :2]
        along_x = np.where(ahead[:, 0] > 0, RIGHT, LEFT)
        along_y = np.where(ahead[:, 1] > 0, UP, DOWN)
        first_x = (ahead[:, 0] != 0) & ((ahead[:, 1] == 0) | (draws[:, 0] < 0.5))
        there = (ahead == 0).all(axis=1)
        chosen = np.where(there, CLAIM, np.where(first_x, along_x, along_y))
        chosen = np.where(self._claimed, pacing, chosen)
        self._claimed |= there
        return chosen

    def see(
        self,
        seen: Int[np.ndarray, "n D"],
        actions: Int[np.ndarray, " n"],
        rewards: Float[np.ndarray, " n"],
        seen_after: Int[np.ndarray, "n D"],
    ) -> None:
        """What it was shown is all that there is to learn."""
