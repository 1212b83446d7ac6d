"""Upper confidence bounds: pull the arm that may pay most often."""

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
from keepmap.agents.families.worlds.bandit import Bandit
from keepmap.core.progress import Progress
from keepmap.errors import InputError

__all__ = ["UpperConfidence"]

TIE = 1e-3  # breaks ties between equal bounds, and nothing else


@dataclass(frozen=True)
class UpperConfidence(Source):
    """Pulls the arm with the highest upper bound of how often it pays.

    The bound is the mean of a uniform prior and what was seen, plus `bonus` standard errors that grow with the
    logarithm of the pulls so far. Chance decides between equal arms alone, so that what a learner does next can be told
    from what it has seen.

    Attributes:
        bonus: how far the bound is above the mean.

    Reference: Auer, Cesa-Bianchi & Fischer, Finite-time analysis of the multiarmed bandit problem, Machine Learning 47,
        2002.
    """

    bonus: float = 0.5

    name: ClassVar[str] = "ucb"
    usual_episodes: ClassVar[int] = 20
    suits: ClassVar[type[World]] = Bandit

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.bonus < np.inf:
            raise InputError(f"expected `bonus` of ucb to be a number from 0, got {self.bonus:g}")

    def learn(
        self,
        room: World,
        goals: Sequence[Goal],
        learners: int,
        episodes: int,
        seed: int,
        progress: Progress | None = None,
    ) -> Streams:
        assert isinstance(room, Bandit)
        arms = room.arms
        return live(room, goals, learners, episodes, seed, progress, arms, lambda n: _Learners(self.bonus, arms, n))


class _Learners:
    def __init__(self, bonus: float, arms: int, n: int) -> None:
        self._bonus, self._own = bonus, np.arange(n)
        # One payment and one failure of each arm, before any pull.
        self._paid, self._pulled = np.ones((n, arms)), np.full((n, arms), 2.0)

    def act(
        self, seen: Int[np.ndarray, "n D"], episode: int, step: int, draws: Float32[np.ndarray, "n width"]
    ) -> Int[np.ndarray, " n"]:
        """The arm with the highest bound."""
        pulls = self._pulled.sum(axis=1, keepdims=True)
        bounds = self._paid / self._pulled + self._bonus * np.sqrt(np.log(pulls) / self._pulled)
        return (bounds + TIE * draws).argmax(axis=1)

    def see(
        self,
        seen: Int[np.ndarray, "n D"],
        actions: Int[np.ndarray, " n"],
        rewards: Float[np.ndarray, " n"],
        seen_after: Int[np.ndarray, "n D"],
    ) -> None:
        """Count the pull, and whether it paid."""
        self._pulled[self._own, actions] += 1
        self._paid[self._own, actions] += rewards
