"""A dark room whose goal moves in mid-life: what was learned of the first one has to be forgotten."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from keepmap.agents.environments.room import N_ACTIONS
from keepmap.agents.families.family import Arrays, Family, Where, most_of
from keepmap.agents.families.grid import cells_of, moved, room_picture, successors_of
from keepmap.agents.families.planning import planned_returns

__all__ = ["MovingGoal"]


@dataclass(frozen=True)
class MovingGoal(Family):
    """Find a hidden cell, and find it again after it has moved.

    A room without light, which pays 1 for every step that ends on its goal. In the middle of the life, from episode
    `episodes` / 2 (counted from 0) on, the goal is another cell; nothing says so. Episodes begin in the middle of the
    room, and the observation is the cell (x, y). Actions move right, left, up, down, and stay.

    Attributes:
        size: cells along a side, 2 to 64.

    Reference: Dark Room is of Laskin et al. 2022, arXiv 2210.14215; there the goal stays.
    """

    horizon: int = 20
    episodes: int = 20
    size: int = 9

    name: ClassVar[str] = "moving_goal"
    gymnasium_id: ClassVar[str] = "keepmap/MovingGoal-9x9-v0"

    def __post_init__(self) -> None:
        super().__post_init__()
        most_of("size", self.size, 2, 64)

    @property
    def n_tasks(self) -> int:
        """All pairs of two cells that differ."""
        return self.size**2 * (self.size**2 - 1)

    @property
    def observation_sizes(self) -> tuple[int, ...]:
        return (self.size, self.size)

    @property
    def n_actions(self) -> int:
        return N_ACTIONS

    def arrays(self, tasks: Int[np.ndarray, " N"]) -> Arrays:
        first, other = np.divmod(tasks, self.size**2 - 1)
        second = other + (other >= first)  # any but the first
        return {"goals": cells_of(self.size)[np.stack([first, second], axis=1)]}

    def starts(self, of: Arrays, episode: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]) -> np.ndarray:
        return np.full((len(draws), 2), self.size // 2)

    def step(
        self, of: Arrays, at: Where, actions: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]
    ) -> tuple[Int[np.ndarray, "N K"], Float[np.ndarray, " N"]]:
        after = moved(at.states, actions, self.size)
        return after, (after == self._goals(of, at)).all(1).astype(np.float64)

    def observe(self, of: Arrays, at: Where) -> Int[np.ndarray, "N D"]:
        return at.states

    def returns(self, of: Arrays) -> tuple[Float[np.ndarray, "N E"], Float[np.ndarray, "N E"]]:
        successors = successors_of(self.size)[None, ..., None]
        starts = np.zeros((len(of["goals"]), self.size**2))
        starts[:, (self.size // 2) * (self.size + 1)] = 1.0
        both = []
        for goals in of["goals"].swapaxes(0, 1):
            numbers = goals @ np.array([self.size, 1])
            rewards = (successors == numbers[:, None, None, None]).astype(np.float64)
            both.append(planned_returns(successors, np.ones_like(successors, float), rewards, starts, self.horizon))
        later = np.arange(self.episodes) >= self._moves_at
        best, random = (np.where(later, second[:, None], first[:, None]) for first, second in zip(*both, strict=True))
        return best, random

    def picture(self, of: Arrays, at: Where) -> UInt8[np.ndarray, "H W 3"]:
        """The room, the goal of this episode, and the agent."""
        return room_picture(self.size, self._goals(of, at)[0], at.states[0])

    @property
    def _moves_at(self) -> int:
        return self.episodes // 2

    def _goals(self, of: Arrays, at: Where) -> Int[np.ndarray, "N 2"]:
        return of["goals"][np.arange(len(at.episode)), (at.episode >= self._moves_at).astype(np.int64)]
