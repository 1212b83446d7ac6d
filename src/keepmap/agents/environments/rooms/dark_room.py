"""Dark Room: find a hidden cell and stay on it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Integer

from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import Room

__all__ = ["DarkRoom"]


@dataclass(frozen=True)
class DarkRoom(Room):
    """Find a hidden cell and stay on it.

    ## Description
    A square room without light. The agent sees where it is, and never where the goal is: it has to find the goal by
    its reward, and an agent that learns in context walks straight to it in the next episode.

    ## Action Space
    `Discrete(5)`: 0 moves to (x + 1, y), 1 to (x - 1, y), 2 to (x, y + 1), 3 to (x, y - 1), 4 stays. A move into a wall
    stays.

    ## Observation Space
    `MultiDiscrete([size, size])`: the agent's cell (x, y).

    ## Starting State
    The centre, (size // 2, size // 2).

    ## Rewards
    1 on every step that ends on the goal, else 0. The optimum is horizon - d + 1 for a goal at distance d >= 1 from the
    centre, and horizon for the centre itself.

    ## Episode End
    Truncated after `horizon` steps; never terminated.

    ## Arguments
    - `goal`: the hidden cell (x, y); they are numbered row by row. By default one is drawn at the first reset and at
      every reset with a seed; it stays the same over the episodes between.
    - `size`: cells along a side, 9 by default.
    - `horizon`: steps of an episode, 20 by default.

    ## References
    Laskin et al., In-context Reinforcement Learning with Algorithm Distillation, arXiv 2210.14215.

    ## Version History
    - v0: first version.
    """

    size: int = 9
    horizon: int = 20

    name: ClassVar[str] = "darkroom"
    gymnasium_id: ClassVar[str] = "keepmap/DarkRoom-9x9-v0"
    every_step: ClassVar[bool] = True

    def _goals(self) -> tuple[Goal, ...]:
        return tuple((x, y) for x in range(self.size) for y in range(self.size))

    def targets(self, goals: Integer[np.ndarray, "N 2"]) -> Integer[np.ndarray, "N 1 2"]:
        """The goal, the one cell that rewards."""
        return goals[:, None]

    def starts(self, draws: Float[np.ndarray, "N 2"]) -> Integer[np.ndarray, "N 2"]:
        """The centre of the room, whatever was drawn."""
        return np.full(draws.shape, self.size // 2)

    def all_starts(self) -> tuple[tuple[int, int], ...]:
        """The centre of the room, the only one."""
        return ((self.size // 2, self.size // 2),)
