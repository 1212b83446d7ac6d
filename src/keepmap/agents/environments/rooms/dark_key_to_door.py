"""Dark Key-to-Door: find a hidden key, then a hidden door."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Integer

from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import Room

__all__ = ["DarkKeyToDoor"]


@dataclass(frozen=True)
class DarkKeyToDoor(Room):
    """Find a hidden key, then a hidden door.

    ## Description
    A room without light that holds a key and a door, in cells that the agent cannot see. The door only opens for an
    agent that has been on the key's cell in the same episode.

    ## Action Space
    `Discrete(5)`: 0 moves to (x + 1, y), 1 to (x - 1, y), 2 to (x, y + 1), 3 to (x, y - 1), 4 stays. A move into a wall
    stays.

    ## Observation Space
    `MultiDiscrete([size, size])`: the agent's cell (x, y). Whether it has the key follows from its rewards only.

    ## Starting State
    Any cell, uniformly.

    ## Rewards
    1 on the first step that ends on the key, 1 on the first step after it that ends on the door, else 0. The optimum
    is 2 where the horizon reaches both.

    ## Episode End
    Truncated after `horizon` steps; never terminated.

    ## Arguments
    - `goal`: (key x, key y, door x, door y). By default one is drawn at the first reset and at every reset with a
      seed; it stays the same over the episodes between.
    - `size`: cells along a side, 9 by default.
    - `horizon`: steps of an episode, 50 by default.

    ## References
    Laskin et al., In-context Reinforcement Learning with Algorithm Distillation, arXiv 2210.14215.

    ## Version History
    - v0: first version.
    """

    size: int = 9
    horizon: int = 50

    name: ClassVar[str] = "dark_key_to_door"
    gymnasium_id: ClassVar[str] = "keepmap/DarkKeyToDoor-9x9-v0"
    every_step: ClassVar[bool] = False
    n_targets: ClassVar[int] = 2

    def _goals(self) -> tuple[Goal, ...]:
        return tuple(itertools.product(range(self.size), repeat=4))

    def targets(self, goals: Integer[np.ndarray, "N 4"]) -> Integer[np.ndarray, "N 2 2"]:
        """The cell of the key, then that of the door."""
        return goals.reshape(-1, 2, 2)

    def starts(self, draws: Float[np.ndarray, "N 2"]) -> Integer[np.ndarray, "N 2"]:
        """Starting cells anywhere in the room, all equally likely."""
        return np.floor(draws * self.size).astype(np.int64)

    def all_starts(self) -> tuple[tuple[int, int], ...]:
        """Every cell of the room."""
        return tuple((x, y) for x in range(self.size) for y in range(self.size))
