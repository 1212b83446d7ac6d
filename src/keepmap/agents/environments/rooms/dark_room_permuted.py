"""Dark Room Permuted: the goal stands still, and what the actions do is hidden."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Integer

from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import MOVES, N_ACTIONS, Room

__all__ = ["DarkRoomPermuted"]


@dataclass(frozen=True)
class DarkRoomPermuted(Room):
    """Find out what the actions do, and walk to the far corner.

    ## Description
    A room without light whose goal is always the far corner; what differs is what the five actions do. The
    120 permutations of the actions are its goals.

    ## Action Space
    `Discrete(5)`: action a does what action goal[a] does in Dark Room, where 0 moves to (x + 1, y), 1 to (x - 1, y),
    2 to (x, y + 1), 3 to (x, y - 1), and 4 stays. A move into a wall stays.

    ## Observation Space
    `MultiDiscrete([size, size])`: the agent's cell (x, y).

    ## Starting State
    The near corner, (0, 0).

    ## Rewards
    1 on every step that ends on the far corner (size - 1, size - 1), else 0. The optimum is horizon - 2 (size - 1) + 1:
    35 with the defaults.

    ## Episode End
    Truncated after `horizon` steps; never terminated.

    ## Arguments
    - `goal`: the permutation, five numbers. By default one is drawn at the first reset and at every reset with a seed;
      it stays the same over the episodes between.
    - `size`: cells along a side, 9 by default.
    - `horizon`: steps of an episode, 50 by default.

    ## References
    Son et al., Distilling Reinforcement Learning Algorithms for In-Context Model-Based Planning, ICLR 2025.

    ## Version History
    - v0: first version.
    """

    size: int = 9
    horizon: int = 50

    name: ClassVar[str] = "darkroom_permuted"
    gymnasium_id: ClassVar[str] = "keepmap/DarkRoomPermuted-9x9-v0"
    every_step: ClassVar[bool] = True
    moves_vary: ClassVar[bool] = True

    def _goals(self) -> tuple[Goal, ...]:
        return tuple(itertools.permutations(range(N_ACTIONS)))

    def targets(self, goals: Integer[np.ndarray, "N 5"]) -> Integer[np.ndarray, "N 1 2"]:
        """The corner opposite to the start, whatever the goal."""
        return np.full((len(goals), 1, 2), self.size - 1)

    def starts(self, draws: Float[np.ndarray, "N 2"]) -> Integer[np.ndarray, "N 2"]:
        """The corner (0, 0), whatever was drawn."""
        return np.zeros(draws.shape, dtype=np.int64)

    def all_starts(self) -> tuple[tuple[int, int], ...]:
        """The corner (0, 0), the only one."""
        return ((0, 0),)

    def moves(
        self, goals: Integer[np.ndarray, "N 5"], actions: Integer[np.ndarray, " N"]
    ) -> Integer[np.ndarray, "N 2"]:
        """What the actions add to (x, y) after the permutation that is the goal."""
        return MOVES[goals[np.arange(len(goals)), actions]]
