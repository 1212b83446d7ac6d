"""A learner that looks for a hidden cell, and looks again once the cell has stopped to pay."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.collection.lives import live
from keepmap.agents.collection.source import Source
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.world import World
from keepmap.agents.families import grid
from keepmap.agents.families.worlds.moving_goal import MovingGoal
from keepmap.core.progress import Progress

__all__ = ["Seeker"]

FAR = np.float32(1e6)


@dataclass(frozen=True)
class Seeker(Source):
    """Goes to the nearest cell that may still pay, straight back to the one that pays, and forgets once it does not.

    A cell may pay until the learner has stood there without a reward. When the cell that paid pays no more, all others
    may pay again. It knows what its actions do.

    Reference: Brafman & Tennenholtz, R-MAX, JMLR 3, 2002, for optimism in the face of the unknown.
    """

    name: ClassVar[str] = "seeker"
    usual_episodes: ClassVar[int] = 20
    suits: ClassVar[type[World]] = MovingGoal

    def learn(
        self,
        room: World,
        goals: Sequence[Goal],
        learners: int,
        episodes: int,
        seed: int,
        progress: Progress | None = None,
    ) -> Streams:
        assert isinstance(room, MovingGoal)
        size = room.size
        width = size**2 + room.n_actions
        return live(room, goals, learners, episodes, seed, progress, width, lambda n: _Learners(size, n))


class _Learners:
    """Beliefs: which cells may pay, and whether one is known to."""

    def __init__(self, size: int, n: int) -> None:
        self._size, self._own = size, np.arange(n)
        self._may_pay = np.ones((n, size * size), dtype=np.bool_)
        self._known = np.zeros(n, dtype=np.bool_)
        cells = grid.cells_of(size)
        self._distance = np.abs(cells[:, None] - cells).sum(axis=2).astype(np.float32)
        self._successors = grid.successors_of(size)

    def act(
        self, seen: Int[np.ndarray, "n D"], episode: int, step: int, draws: Float32[np.ndarray, "n width"]
    ) -> Int[np.ndarray, " n"]:
        """A move towards the nearest cell that may pay; chance decides between equals."""
        here, n_cells = self._numbers(seen), self._size**2
        target = np.where(self._may_pay, self._distance[here] + draws[:, :n_cells], FAR).argmin(axis=1)
        far = self._distance[self._successors[here], target[:, None]]
        return (far + np.float32(1e-3) * draws[:, n_cells:]).argmin(axis=1)

    def see(
        self,
        seen: Int[np.ndarray, "n D"],
        actions: Int[np.ndarray, " n"],
        rewards: Float[np.ndarray, " n"],
        seen_after: Int[np.ndarray, "n D"],
    ) -> None:
        """Know the cell that paid; rule out the one that did not, and forget where that was the one known."""
        there = self._numbers(seen_after)
        paid = rewards > 0
        lost: Bool[np.ndarray, " n"] = ~paid & self._known & self._may_pay[self._own, there]
        self._may_pay[lost] = True
        self._known[lost] = False
        self._may_pay[self._own[~paid], there[~paid]] = False
        self._may_pay[paid] = False
        self._may_pay[self._own[paid], there[paid]] = True
        self._known |= paid
        # Of a search in which every cell was ruled out something has changed: it begins anew.
        nothing = ~self._may_pay.any(axis=1)
        self._may_pay[nothing] = True

    def _numbers(self, cells: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, " n"]:
        return cells @ np.array([self._size, 1])
