"""Random worlds of some states, whose actions lead to states nearby and of which a few pay."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from keepmap.agents.families.family import MOST_TASKS, Arrays, Family, Where, most_of
from keepmap.agents.families.planning import planned_returns

__all__ = ["RandomMDP"]

WAYS = 2
"""States to which an action in a state may lead."""
HERE, PAYS, EMPTY = (0, 114, 178), (230, 159, 0), (225, 225, 225)


@dataclass(frozen=True)
class RandomMDP(Family):
    """Find out where actions lead, and where it pays.

    The states stand in a row. In each, every action leads to one state within `band` of it, and one time in five to
    another: which, is drawn for the task. Two things pay 1: arriving in the one goal, far from the start; and one
    action in one state halfway there, which leads back to the start. Episodes begin in state 0. The observation is the
    state.

    Attributes:
        states: 10 to 64. actions: 4 to 8. band: how far an action leads at most, 1 or more and below `states`.

    Reference: banded transitions and composite rewards as in AnyMDP (Wang et al. 2025, arXiv 2502.02869), smaller.
    """

    horizon: int = 20
    episodes: int = 20
    states: int = 16
    actions: int = 5
    band: int = 3

    name: ClassVar[str] = "random_mdp"
    gymnasium_id: ClassVar[str] = "keepmap/RandomMDP-16-v0"

    def __post_init__(self) -> None:
        super().__post_init__()
        most_of("states", self.states, 10, 64)
        most_of("actions", self.actions, 4, 8)
        most_of("band", self.band, 1, self.states - 1)

    @property
    def n_tasks(self) -> int:
        return MOST_TASKS

    @property
    def observation_sizes(self) -> tuple[int, ...]:
        return (self.states,)

    @property
    def n_actions(self) -> int:
        return self.actions

    def arrays(self, tasks: Int[np.ndarray, " N"]) -> Arrays:
        worlds = [self._world(np.random.default_rng([3, task])) for task in tasks.tolist()]
        return {name: np.stack([world[name] for world in worlds]) for name in worlds[0]}

    def _world(self, draws: np.random.Generator) -> Arrays:
        n, band = self.states, self.band
        steps = draws.integers(-band, band + 1, size=(n, self.actions, WAYS))
        # In every state one action, another in each, leads on: the goal can be reached.
        forward = draws.integers(self.actions, size=n)
        steps[np.arange(n), forward, 0] = draws.integers(1, band + 1, size=n)
        successors = np.clip(np.arange(n)[:, None, None] + steps, 0, n - 1)
        goal = n - 1 - int(draws.integers(max(1, n // 4)))
        halfway, action = n // 2 - int(draws.integers(max(1, n // 8))), int(draws.integers(self.actions))
        successors[halfway, action] = 0
        rewards = (successors == goal).astype(np.float64)
        rewards[halfway, action] = 1.0
        return {"successors": successors, "rewards": rewards, "goal": np.array(goal), "halfway": np.array(halfway)}

    def starts(self, of: Arrays, episode: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]) -> np.ndarray:
        return np.zeros((len(draws), 1), dtype=np.int64)

    def step(
        self, of: Arrays, at: Where, actions: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]
    ) -> tuple[Int[np.ndarray, "N K"], Float[np.ndarray, " N"]]:
        way = (draws >= CHANCES[0]).astype(np.int64)
        place = (np.arange(len(actions)), at.states[:, 0], actions, way)
        return of["successors"][place][:, None], of["rewards"][place]

    def observe(self, of: Arrays, at: Where) -> Int[np.ndarray, "N D"]:
        return at.states

    def returns(self, of: Arrays) -> tuple[Float[np.ndarray, "N E"], Float[np.ndarray, "N E"]]:
        rewards = of["rewards"]
        starts = np.zeros((len(rewards), self.states))
        starts[:, 0] = 1.0
        chances = np.broadcast_to(CHANCES, rewards.shape)
        best, random = planned_returns(of["successors"], chances, rewards, starts, self.horizon)
        shape = (len(rewards), self.episodes)
        return np.broadcast_to(best[:, None], shape), np.broadcast_to(random[:, None], shape)

    def picture(self, of: Arrays, at: Where) -> UInt8[np.ndarray, "H W 3"]:
        """The row of states: where the agent is, and below it the two that pay."""
        cells = np.full((3, self.states, 3), 255, dtype=np.uint8)
        cells[1] = EMPTY
        cells[1, at.states[0, 0]] = HERE
        cells[2, [int(of["goal"][0]), int(of["halfway"][0])]] = PAYS
        return cells


CHANCES = (0.8, 0.2)
"""Of an action's two ways."""
