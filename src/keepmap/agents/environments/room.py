"""The rules that all dark rooms share, on arrays of any number of copies: where a step leads and what it earns."""

import functools
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Integer

from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.world import World
from keepmap.core.arguments import as_integer, shown
from keepmap.errors import InputError

__all__ = ["MOVES", "N_ACTIONS", "Room"]

MOVES: Integer[np.ndarray, "5 2"] = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (0, 0)])
MOVES.flags.writeable = False
N_ACTIONS = len(MOVES)
LARGEST = 255  # coordinates are stored in one byte
MOST_STEPS = 1_000_000  # of an episode


@dataclass(frozen=True)
class Room(World):
    """A dark room: the agent sees its own cell, never the goal, and its targets reward it one after the other.

    Attributes:
        size: cells along a side.
        horizon: steps of an episode, which ends by this time limit alone.

    Raises:
        InputError: a size or a horizon that cannot be played.
    """

    size: int
    horizon: int

    every_step: ClassVar[bool]
    """Whether the (only) target rewards every step on it; otherwise each target rewards once, in order."""
    n_targets: ClassVar[int] = 1
    moves_vary: ClassVar[bool] = False
    """Whether the goal changes what the actions do."""

    def __post_init__(self) -> None:
        as_integer("size", self.size, None)
        as_integer("horizon", self.horizon, None, MOST_STEPS)
        if not 2 <= self.size <= LARGEST:
            raise InputError(f"expected `size` to be 2 to {LARGEST} cells, got {self.size}")
        if self.horizon < 1:
            raise InputError(f"expected `horizon` to be 1 step or more, got {self.horizon}")

    @property
    def observation_sizes(self) -> tuple[int, ...]:
        return (self.size, self.size)

    @property
    def n_actions(self) -> int:
        return N_ACTIONS

    @property
    def usual_tasks(self) -> int:
        return len(self.goals)

    @property
    def life(self) -> int | None:
        return None

    @property
    def title(self) -> str:
        return f"{self.name} {self.size}x{self.size}"

    @property
    def options(self) -> dict[str, Any]:
        return {"size": self.size, "horizon": self.horizon}

    def suffix(self) -> str:
        """`-5x5` or `-5x5x30`, where 30 is the horizon."""
        usual = type(self)()  # type: ignore[call-arg]  # every room has a usual size
        if self.horizon != usual.horizon:
            return f"-{self.size}x{self.size}x{self.horizon}"
        return "" if self.size == usual.size else f"-{self.size}x{self.size}"

    def drawn_goals(self, tasks: int | None, seed: int) -> tuple[Goal, ...]:
        if tasks is not None:
            raise InputError(f"expected no `tasks` of {self.name}, whose goals are all split, got {shown(tasks)}")
        return self.goals

    @property
    def memory(self) -> int:
        """How many values `progress` takes: the rewards so far in this episode, as far as they change what follows."""
        return 1 if self.every_step else self.n_targets + 1

    @property
    def n_cells(self) -> int:
        """Cells of the room; cell x * size + y is (x, y)."""
        return self.size * self.size

    @functools.cached_property
    def goals(self) -> tuple[Goal, ...]:
        """Every goal, in the order that numbers them."""
        return self._goals()

    @functools.cached_property
    def _goal_index(self) -> dict[Goal, int]:
        return {goal: index for index, goal in enumerate(self.goals)}

    def index(self, goal: Goal, parameter: str = "goal") -> int:
        """The number of a goal, its place in `goals`.

        Args:
            parameter: whose value it is, for the messages.

        Raises:
            InputError: the room has no such goal.
        """
        if not isinstance(goal, Iterable):
            raise InputError(f"expected `{parameter}` to be a cell such as (4, 2), got {shown(goal)}")
        number = self._goal_index.get(tuple(goal))
        if number is None:
            span = f"{self.goals[0]} to {self.goals[-1]}"
            raise InputError(
                f"expected `{parameter}` to be one of {self.name} of size {self.size}, {span}, got {tuple(goal)}"
            )
        return number

    def most_return(self, goal: Goal) -> float:
        """From the best starting cell; the optimum is a mean over these."""
        if len(self.all_starts()) == 1:
            return self.optimum(goal)
        return float(self.horizon if self.every_step else self.n_targets)

    @property
    def best_return(self) -> float:
        """The optimum of the best goal where each step rewards, else one for each target."""
        if self.every_step:
            return max(map(self.optimum, self.goals))
        return float(min(self.n_targets, self.horizon))

    @abstractmethod
    def _goals(self) -> tuple[Goal, ...]: ...

    @abstractmethod
    def targets(self, goals: Integer[np.ndarray, "N g"]) -> Integer[np.ndarray, "N targets 2"]:
        """The rewarded cells of each copy, in the order in which they reward."""

    @abstractmethod
    def starts(self, draws: Float[np.ndarray, "N 2"]) -> Integer[np.ndarray, "N 2"]:
        """Starting cells, from two draws in [0, 1) for each copy."""

    @abstractmethod
    def all_starts(self) -> tuple[tuple[int, int], ...]:
        """Every starting cell, all equally likely."""

    def moves(
        self, goals: Integer[np.ndarray, "N g"], actions: Integer[np.ndarray, " N"]
    ) -> Integer[np.ndarray, "N 2"]:
        """What the actions would add to (x, y) if there were no walls."""
        return MOVES[actions]

    def step(
        self,
        goals: Integer[np.ndarray, "N g"],
        cells: Integer[np.ndarray, "N 2"],
        progress: Integer[np.ndarray, " N"],
        actions: Integer[np.ndarray, " N"],
    ) -> tuple[Integer[np.ndarray, "N 2"], Bool[np.ndarray, " N"]]:
        """The next cells, and which copies are rewarded (with 1)."""
        after = np.clip(cells + self.moves(goals, actions), 0, self.size - 1)
        next_target = np.minimum(progress, self.n_targets - 1)
        target = self.targets(goals)[np.arange(len(cells)), next_target]
        return after, (after == target).all(axis=1) & (progress < self.n_targets)

    def advance(
        self, progress: Integer[np.ndarray, " N"], rewarded: Bool[np.ndarray, " N"]
    ) -> Integer[np.ndarray, " N"]:
        """`progress` after these rewards: what an agent can work out from the rewards alone."""
        return np.minimum(progress + rewarded, self.memory - 1)

    def optimum(self, goal: Goal) -> float:
        """The return of an agent that knows the goal, a mean over the starting cells.

        A target at distance d is reached, and rewards, at step max(d, 1): standing still is a step too. Where each
        step on it is rewarded, that makes horizon - max(d, 1) + 1.
        """
        self.index(goal)
        targets = self.targets(np.array([goal]))[0].tolist()
        total = 0
        for start in self.all_starts():
            here, step = list(start), 0
            for target in targets:
                step += max(1, abs(here[0] - target[0]) + abs(here[1] - target[1]))
                here = target
                if step <= self.horizon:
                    total += self.horizon - step + 1 if self.every_step else 1
        return total / len(self.all_starts())
