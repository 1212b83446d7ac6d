"""An optimistic model-based learner: it takes what it has not seen for the best, and soon finds the goal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Integer

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.collection.learners import play
from keepmap.agents.collection.source import Source
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import MOVES, N_ACTIONS, Room
from keepmap.agents.environments.world import World
from keepmap.core.progress import Progress
from keepmap.errors import InputError

__all__ = ["Optimistic"]

FAR = np.float32(1e6)


@dataclass(frozen=True)
class Optimistic(Source):
    """Goes to the nearest cell that may still hold the target, and straight back to it once it was found.

    Each learner believes of every cell that it may be the target until it has stood there without a reward, and of
    every action that it may do just what is needed until it has seen what the action does. It knows that all actions
    are one-cell moves or none, on a grid of known size, and starts each goal knowing nothing else: progress from chance
    to the optimum takes a few episodes, and fits into an agent's context.

    Attributes:
        know_moves: whether the learner knows from the start what the actions do, in rooms where that is no secret.
        epsilon: probability of a random action, at every step.

    Reference: Brafman & Tennenholtz, R-MAX, JMLR 3, 2002, for optimism in the face of the unknown.
    """

    know_moves: bool = False
    epsilon: float = 0.0

    name: ClassVar[str] = "optimistic"
    usual_episodes: ClassVar[int] = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise InputError(f"expected `epsilon` of optimistic to be a probability in [0, 1], got {self.epsilon:g}")

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
        width = room.n_cells + N_ACTIONS + 1
        return play(room, goals, learners, episodes, seed, progress, width, lambda n: _Learners(self, room, n))


class _Learners:
    """Beliefs: which cell may be target k, and which of the five moves action a may make."""

    def __init__(self, options: Optimistic, room: Room, n: int) -> None:
        self._epsilon = options.epsilon
        self._room = room
        self._own = np.arange(n)
        self._may_be_target = np.ones((n, room.n_targets, room.n_cells), dtype=np.bool_)
        self._may_move = np.ones((n, N_ACTIONS, N_ACTIONS), dtype=np.bool_)
        if options.know_moves and not room.moves_vary:
            self._may_move[:] = np.eye(N_ACTIONS, dtype=np.bool_)
        grid = np.stack(np.divmod(np.arange(room.n_cells), room.size), axis=1)
        self._distance = np.abs(grid[:, None] - grid).sum(axis=2).astype(np.float32)
        after = np.clip(grid[:, None] + MOVES, 0, room.size - 1)
        self._led_to = after[..., 0] * room.size + after[..., 1]  # [cell, move]

    def act(
        self,
        cells: Integer[np.ndarray, " n"],
        progress: Integer[np.ndarray, " n"],
        share: float,
        draws: Float32[np.ndarray, "n width"],
    ) -> Integer[np.ndarray, " n"]:
        """The surest action towards the nearest possible target; chance decides between equals."""
        n_cells = self._room.n_cells
        next_target = np.minimum(progress, self._room.n_targets - 1)
        possible = self._may_be_target[self._own, next_target]
        target = np.where(possible, self._distance[cells] + draws[:, :n_cells], FAR).argmin(axis=1)
        noise = draws[:, n_cells:-1]
        # A move that leads nearest to the target scores 1 over the number of moves the action may still make.
        far = self._distance[self._led_to[cells], target[:, None]]
        good = far == far.min(axis=1, keepdims=True)
        hope = (self._may_move & good[:, None]).sum(axis=2) / self._may_move.sum(axis=2)
        best = (hope + np.float32(1e-3) * noise).argmax(axis=1)
        return np.where(draws[:, -1] < self._epsilon, noise.argmax(axis=1), best)

    def see(
        self,
        cells: Integer[np.ndarray, " n"],
        progress: Integer[np.ndarray, " n"],
        actions: Integer[np.ndarray, " n"],
        rewarded: Bool[np.ndarray, " n"],
        cells_after: Integer[np.ndarray, " n"],
        progress_after: Integer[np.ndarray, " n"],
    ) -> None:
        """Rule out what the step has shown to be otherwise."""
        self._may_move[self._own, actions] &= self._led_to[cells] == cells_after[:, None]
        searching = progress < self._room.n_targets
        full, empty = self._own[rewarded & searching], self._own[~rewarded & searching]
        self._may_be_target[empty, progress[empty], cells_after[empty]] = False
        self._may_be_target[full, progress[full]] = False
        self._may_be_target[full, progress[full], cells_after[full]] = True
