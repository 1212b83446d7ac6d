"""Tabular Q-learning, thousands of learners at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Integer

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.collection.learners import play
from keepmap.agents.collection.source import Source
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import N_ACTIONS, Room
from keepmap.agents.environments.world import World
from keepmap.core.progress import Progress
from keepmap.errors import InputError

__all__ = ["QLearning"]

TIE = np.float32(1e-6)  # breaks ties between equal values, and nothing else


@dataclass(frozen=True)
class QLearning(Source):
    """One-step Q-learning with one value per (cell, rewards so far, action); slow, steady progress.

    Values start at `optimism`, so that what was not tried looks worth trying. The time limit is not part of the state,
    so that the last step of an episode bootstraps like any other.

    Attributes:
        learning_rate: share of the way to the target that each step moves a value.
        discount: of the next step's value.
        optimism: the value before anything was learned.
        epsilon: probability of a random action in the first episode; it falls linearly.
        epsilon_end: episodes, as a share of all, after which no action is random any more.

    Reference: Watkins & Dayan, Q-learning, Machine Learning 8, 1992.
    """

    learning_rate: float = 0.5
    discount: float = 0.9
    optimism: float = 1.0
    epsilon: float = 0.3
    epsilon_end: float = 0.8

    name: ClassVar[str] = "q_learning"
    usual_episodes: ClassVar[int] = 200
    config_keys: ClassVar[Mapping[str, str | None]] = {"source_lr": "learning_rate"}

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("learning_rate", "discount", "epsilon", "epsilon_end"):
            if not 0 <= getattr(self, option) <= 1:
                raise InputError(
                    f"expected `{option}` of q_learning to be a number in [0, 1], got {getattr(self, option):g}"
                )
        if not np.isfinite(self.optimism):
            raise InputError(f"expected `optimism` of q_learning to be a finite number, got {self.optimism:g}")

    def learn(
        self,
        room: World,
        goals: Sequence[Goal],
        learners: int,
        episodes: int,
        seed: int,
        progress: Progress | None = None,
    ) -> Streams:
        assert isinstance(room, Room)
        return play(room, goals, learners, episodes, seed, progress, N_ACTIONS + 1, lambda n: _Learners(self, room, n))


class _Learners:
    def __init__(self, options: QLearning, room: Room, n: int) -> None:
        self._options = options
        self._n_cells = room.n_cells
        self._own = np.arange(n)
        self._values = np.full((n, room.memory * room.n_cells, N_ACTIONS), options.optimism, dtype=np.float32)

    def act(
        self,
        cells: Integer[np.ndarray, " n"],
        progress: Integer[np.ndarray, " n"],
        share: float,
        draws: Float32[np.ndarray, "n width"],
    ) -> Integer[np.ndarray, " n"]:
        """The best action, or with probability epsilon any."""
        values = self._values[self._own, progress * self._n_cells + cells]
        noise = draws[:, :N_ACTIONS]
        best = (values + TIE * noise).argmax(axis=1)
        end = self._options.epsilon_end
        epsilon = self._options.epsilon * max(0.0, 1 - share / end) if end else 0.0
        return np.where(draws[:, N_ACTIONS] < epsilon, noise.argmax(axis=1), best)

    def see(
        self,
        cells: Integer[np.ndarray, " n"],
        progress: Integer[np.ndarray, " n"],
        actions: Integer[np.ndarray, " n"],
        rewarded: Bool[np.ndarray, " n"],
        cells_after: Integer[np.ndarray, " n"],
        progress_after: Integer[np.ndarray, " n"],
    ) -> None:
        """Move the value of the action towards reward + discount * the best value after it."""
        best = self._values[self._own, progress_after * self._n_cells + cells_after].max(axis=1)
        where = (self._own, progress * self._n_cells + cells, actions)
        target = rewarded + np.float32(self._options.discount) * best
        self._values[where] += np.float32(self._options.learning_rate) * (target - self._values[where])
