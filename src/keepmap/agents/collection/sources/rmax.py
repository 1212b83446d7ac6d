"""A learner of small worlds that takes what it has not tried for the best, and plans with what it has seen."""

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
from keepmap.agents.families.worlds.random_mdp import RandomMDP
from keepmap.core.progress import Progress
from keepmap.errors import InputError

__all__ = ["RMax"]

TIE = np.float32(1e-3)
SWEEPS = 4  # over the values in each step: they begin where those of the step before ended


@dataclass(frozen=True)
class RMax(Source):
    """Plans with the transitions that it has seen, as often as it saw them, and hopes for `optimism` where it has none.

    An action that was tried n times in a state is worth what was seen of it, and with weight 1 / (1 + n * trust) what
    is hoped of one that was never tried there.

    Attributes:
        discount: of the next step's value.
        optimism: the value of what was never tried.
        trust: how much a try counts against the hope.

    Reference: Brafman & Tennenholtz, R-MAX, JMLR 3, 2002.
    Differs from the paper: hope fades with each try, in place of ending with the m-th.
    """

    discount: float = 0.9
    optimism: float = 8.0
    trust: float = 10.0

    name: ClassVar[str] = "rmax"
    usual_episodes: ClassVar[int] = 20
    at_once: ClassVar[int] = 1000
    suits: ClassVar[type[World]] = RandomMDP

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.discount < 1:
            raise InputError(f"expected `discount` of rmax to be a number in [0, 1), got {self.discount:g}")
        for option in ("optimism", "trust"):
            if not 0 <= getattr(self, option) < np.inf:
                raise InputError(f"expected `{option}` of rmax to be a number from 0, got {getattr(self, option):g}")

    def learn(
        self,
        room: World,
        goals: Sequence[Goal],
        learners: int,
        episodes: int,
        seed: int,
        progress: Progress | None = None,
    ) -> Streams:
        assert isinstance(room, RandomMDP)
        states, actions = room.states, room.actions
        return live(
            room, goals, learners, episodes, seed, progress, actions, lambda n: _Learners(self, states, actions, n)
        )


class _Learners:
    def __init__(self, options: RMax, states: int, actions: int, n: int) -> None:
        self._options, self._own = options, np.arange(n)
        self._counts = np.zeros((n, states * actions, states), dtype=np.float32)
        self._paid = np.zeros((n, states * actions), dtype=np.float32)
        self._values = np.full((n, states), options.optimism, dtype=np.float32)
        self._actions = actions

    def act(
        self, seen: Int[np.ndarray, "n D"], episode: int, step: int, draws: Float32[np.ndarray, "n width"]
    ) -> Int[np.ndarray, " n"]:
        """The action that is worth most; chance decides between equals."""
        tried = self._counts.sum(axis=2)
        hope = 1 / (1 + self._options.trust * tried)
        seen_of = np.maximum(tried, 1)
        n, states = self._values.shape
        for _ in range(SWEEPS):
            led = np.matmul(self._counts, self._values[:, :, None])[..., 0]
            worth = (self._paid + np.float32(self._options.discount) * led) / seen_of
            worth = (1 - hope) * worth + hope * np.float32(self._options.optimism)
            self._values = worth.reshape(n, states, self._actions).max(axis=2).astype(np.float32)
        here = worth.reshape(n, states, self._actions)[self._own, seen[:, 0]]
        return (here + TIE * draws).argmax(axis=1)

    def see(
        self,
        seen: Int[np.ndarray, "n D"],
        actions: Int[np.ndarray, " n"],
        rewards: Float[np.ndarray, " n"],
        seen_after: Int[np.ndarray, "n D"],
    ) -> None:
        """Count where the action led, and what it paid."""
        pair = seen[:, 0] * self._actions + actions
        self._counts[self._own, pair, seen_after[:, 0]] += 1
        self._paid[self._own, pair] += rewards
