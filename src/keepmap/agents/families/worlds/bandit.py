"""Bandits: which of some arms pays most often, with arms that are independent or share a direction."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from keepmap.agents.families.family import MOST_TASKS, Arrays, Family, Where, most_of

__all__ = ["Bandit", "LinearBandit"]

PAYS, ARM = (230, 159, 0), (225, 225, 225)
HEIGHT = 20
"""Cells of a picture from never to always."""


@dataclass(frozen=True)
class Bandit(Family):
    """Find the arm that pays most often.

    Each arm pays 1 with a probability of its own, drawn evenly from 0 to 1, and else 0. There is nothing to see: the
    observation is always 0. An episode is `horizon` pulls; the arms stay for the life.

    Attributes:
        arms: how many, 2 to 1,000.
    """

    horizon: int = 10
    episodes: int = 20
    arms: int = 5

    name: ClassVar[str] = "bandit"
    gymnasium_id: ClassVar[str] = "keepmap/Bandit-5-v0"

    def __post_init__(self) -> None:
        super().__post_init__()
        most_of("arms", self.arms, 2, 1000)

    @property
    def n_tasks(self) -> int:
        return MOST_TASKS

    @property
    def observation_sizes(self) -> tuple[int, ...]:
        return (1,)

    @property
    def n_actions(self) -> int:
        return self.arms

    def arrays(self, tasks: Int[np.ndarray, " N"]) -> Arrays:
        return {"chances": np.stack([np.random.default_rng([1, task]).random(self.arms) for task in tasks.tolist()])}

    def starts(self, of: Arrays, episode: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]) -> np.ndarray:
        return np.full((len(draws), 1), -1)

    def step(
        self, of: Arrays, at: Where, actions: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]
    ) -> tuple[Int[np.ndarray, "N K"], Float[np.ndarray, " N"]]:
        paid = draws < of["chances"][np.arange(len(actions)), actions]
        return actions[:, None], paid.astype(np.float64)  # the last arm is kept for pictures alone

    def observe(self, of: Arrays, at: Where) -> Int[np.ndarray, "N D"]:
        return np.zeros((len(at.states), 1), dtype=np.int64)

    def returns(self, of: Arrays) -> tuple[Float[np.ndarray, "N E"], Float[np.ndarray, "N E"]]:
        shape = (len(of["chances"]), self.episodes)
        best, random = of["chances"].max(1), of["chances"].mean(1)
        return tuple(np.broadcast_to(self.horizon * each[:, None], shape) for each in (best, random))  # type: ignore[return-value]

    def picture(self, of: Arrays, at: Where) -> UInt8[np.ndarray, "H W 3"]:
        """Bars as high as arms pay often; the last one that was pulled is coloured."""
        cells = np.full((HEIGHT, 2 * self.arms + 1, 3), 255, dtype=np.uint8)
        for arm, chance in enumerate(of["chances"][0].tolist()):
            cells[HEIGHT - max(1, round(HEIGHT * chance)) :, 2 * arm + 1] = PAYS if at.states[0, 0] == arm else ARM
        return cells


@dataclass(frozen=True)
class LinearBandit(Bandit):
    """Find the arm that pays most often, where arms that are alike pay alike.

    Every arm has a point on the circle of radius 1, evenly spaced and the same in all tasks; a task is a hidden point
    inside it, and an arm pays 1 with probability (1 + their inner product) / 2: what one arm pays tells about the
    others.
    """

    horizon: int = 10
    episodes: int = 20
    arms: int = 10

    name: ClassVar[str] = "linear_bandit"
    gymnasium_id: ClassVar[str] = "keepmap/LinearBandit-10-v0"

    def arrays(self, tasks: Int[np.ndarray, " N"]) -> Arrays:
        angles = 2 * np.pi * np.arange(self.arms) / self.arms
        draws = np.stack([np.random.default_rng([2, task]).random(2) for task in tasks.tolist()])
        # Evenly over the disc: the radius by the root of a draw.
        hidden, radius = 2 * np.pi * draws[:, :1], np.sqrt(draws[:, 1:])
        return {"chances": (1 + radius * np.cos(angles - hidden)) / 2}
