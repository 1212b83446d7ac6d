"""A room whose goal is shown once, early in life, and pays many episodes later: who keeps the newest alone fails."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from keepmap.agents.environments.room import N_ACTIONS
from keepmap.agents.families.family import Arrays, Family, Where, most_of
from keepmap.agents.families.grid import cells_of, moved, room_picture, successors_of
from keepmap.agents.families.planning import planned_returns

__all__ = ["CLAIM", "RecallRoom"]

CLAIM = N_ACTIONS - 1
"""The action that claims the cell on which the agent stands."""


@dataclass(frozen=True)
class RecallRoom(Family):
    """Remember a cell that was shown once, and claim it at the end of the life.

    A room without light. In the first step of the life, and never again, the observation says which cell is the goal;
    then nothing pays until the last episode, in which claiming the goal pays 1. An episode hears one claim: whoever
    claims another cell gets nothing, so that there is no finding it by trial. Episodes begin in the middle.

    The observation is (x, y, shown x + 1, shown y + 1), of which the last two are 0 but for the first state of the
    life. What has to be kept is the life's first transition, which is needed `episodes` - 1 episodes later. Actions
    move right, left, up, down, and claim.

    Attributes:
        size: cells along a side, 3 to 32. Any but the middle may be the goal.

    Reference: none; the cue is that of a T-maze (Bakker 2001).
    """

    horizon: int = 10
    episodes: int = 8
    size: int = 5

    name: ClassVar[str] = "recall_room"
    gymnasium_id: ClassVar[str] = "keepmap/RecallRoom-5x5-v0"

    def __post_init__(self) -> None:
        super().__post_init__()
        most_of("size", self.size, 3, 32)

    @property
    def n_tasks(self) -> int:
        """All cells but the middle."""
        return self.size**2 - 1

    @property
    def observation_sizes(self) -> tuple[int, ...]:
        return (self.size, self.size, self.size + 1, self.size + 1)

    @property
    def n_actions(self) -> int:
        return N_ACTIONS

    @property
    def best_return(self) -> float:
        """One claim, of one episode, pays."""
        return 1.0

    @property
    def _middle(self) -> int:
        return (self.size // 2) * (self.size + 1)

    def arrays(self, tasks: Int[np.ndarray, " N"]) -> Arrays:
        return {"goals": cells_of(self.size)[tasks + (tasks >= self._middle)]}

    def starts(self, of: Arrays, episode: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]) -> np.ndarray:
        """The cell, and whether something was claimed in this episode."""
        return np.tile([self.size // 2, self.size // 2, 0], (len(draws), 1))

    def step(
        self, of: Arrays, at: Where, actions: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]
    ) -> tuple[Int[np.ndarray, "N K"], Float[np.ndarray, " N"]]:
        cells, claimed = at.states[:, :2], at.states[:, 2]
        heard = (actions == CLAIM) & (claimed == 0)
        right = heard & (cells == of["goals"]).all(1) & (at.episode == self.episodes - 1)
        after = np.column_stack([moved(cells, actions, self.size), claimed | heard])
        return after, right.astype(np.float64)

    def observe(self, of: Arrays, at: Where) -> Int[np.ndarray, "N D"]:
        shows = ((at.episode == 0) & (at.step == 0))[:, None]
        return np.concatenate([at.states[:, :2], np.where(shows, of["goals"] + 1, 0)], axis=1)

    def returns(self, of: Arrays) -> tuple[Float[np.ndarray, "N E"], Float[np.ndarray, "N E"]]:
        cells, n = successors_of(self.size), self.size**2
        # Twice the cells: before a claim and, from number n on, after it, where nothing pays any more.
        successors = np.concatenate([cells, cells + n])
        successors[:n, CLAIM] = np.arange(n) + n
        rewards = np.zeros((len(of["goals"]), 2 * n, N_ACTIONS, 1))
        rewards[np.arange(len(rewards)), of["goals"] @ np.array([self.size, 1]), CLAIM] = 1.0
        starts = np.zeros((len(rewards), 2 * n))
        starts[:, self._middle] = 1.0
        ways = successors[None, ..., None]
        best, random = planned_returns(ways, np.ones_like(ways, float), rewards, starts, self.horizon)
        last = np.arange(self.episodes) == self.episodes - 1
        return best[:, None] * last, random[:, None] * last

    def picture(self, of: Arrays, at: Where) -> UInt8[np.ndarray, "H W 3"]:
        """The room, the goal and the agent."""
        return room_picture(self.size, of["goals"][0], at.states[0, :2])
