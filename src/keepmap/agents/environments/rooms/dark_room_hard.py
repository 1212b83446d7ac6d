"""Dark Room Hard: a larger room whose hidden cell rewards once."""

from dataclasses import dataclass
from typing import ClassVar

from keepmap.agents.environments.rooms.dark_room import DarkRoom

__all__ = ["DarkRoomHard"]


@dataclass(frozen=True)
class DarkRoomHard(DarkRoom):
    """Find a hidden cell of a large room; it rewards once per episode.

    ## Description
    Dark Room in 17x17 cells with a sparse reward: what was found must be remembered from a single rewarded step.

    ## Action Space
    `Discrete(5)`: 0 moves to (x + 1, y), 1 to (x - 1, y), 2 to (x, y + 1), 3 to (x, y - 1), 4 stays. A move into a wall
    stays.

    ## Observation Space
    `MultiDiscrete([size, size])`: the agent's cell (x, y).

    ## Starting State
    The centre, (size // 2, size // 2).

    ## Rewards
    1 on the first step of an episode that ends on the goal, else 0. The optimum is 1 where the horizon reaches it.

    ## Episode End
    Truncated after `horizon` steps; never terminated.

    ## Arguments
    - `goal`: the hidden cell (x, y); they are numbered row by row. By default one is drawn at the first reset and at
      every reset with a seed; it stays the same over the episodes between.
    - `size`: cells along a side, 17 by default.
    - `horizon`: steps of an episode, 20 by default.

    ## References
    Laskin et al., In-context Reinforcement Learning with Algorithm Distillation, arXiv 2210.14215.

    ## Version History
    - v0: first version.
    """

    size: int = 17

    name: ClassVar[str] = "darkroom_hard"
    gymnasium_id: ClassVar[str] = "keepmap/DarkRoomHard-17x17-v0"
    every_step: ClassVar[bool] = False
