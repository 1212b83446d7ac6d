"""What a family of tasks is: a number for each task, and on arrays of any number of copies what a step leads to."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

import numpy as np
from jaxtyping import Float, Int, UInt8

from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.world import World
from keepmap.core.arguments import as_integer, shown
from keepmap.errors import InputError

__all__ = ["Arrays", "Family", "TaskSplit", "Where", "most_of"]

Arrays = dict[str, np.ndarray]
"""What N tasks are: arrays of N rows by name."""
MOST_STEPS, MOST_TASKS = 1_000_000, 2**31
USUAL_TASKS = 1000
"""So many are trained on or held out where nobody says how many, or all where there are fewer."""


@dataclass(frozen=True)
class TaskSplit:
    """Tasks for training and tasks held out, by their numbers; none is on both sides."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Where:
    """Where N copies are.

    Attributes:
        states: [N, K], what the family keeps of each, whole numbers.
        episode, step: [N], counted from 0, in the life and in the episode.
    """

    states: Int[np.ndarray, "N K"]
    episode: Int[np.ndarray, " N"]
    step: Int[np.ndarray, " N"]


@dataclass(frozen=True)
class Family(World):
    """A family of tasks: an agent lives through `episodes` episodes of one, and never sees which it is.

    A task is a number below `n_tasks`: each number is another task, and always the same one. A life has `episodes`
    episodes of `horizon` steps, which end by this time limit alone.

    Attributes:
        horizon: steps of an episode.
        episodes: of a life.

    Raises:
        InputError: a value that cannot be played.
    """

    horizon: int
    episodes: int

    def __post_init__(self) -> None:
        most_of("horizon", self.horizon, 1, MOST_STEPS)
        most_of("episodes", self.episodes, 1, MOST_STEPS)

    @property
    @abstractmethod
    def n_tasks(self) -> int:
        """How many tasks there are."""

    @abstractmethod
    def arrays(self, tasks: Int[np.ndarray, " N"]) -> Arrays:
        """What decides in these tasks, from their numbers alone."""

    @abstractmethod
    def starts(self, of: Arrays, episode: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]) -> np.ndarray:
        """The states [N, K] in which episodes begin, from a draw in [0, 1) for each copy."""

    @abstractmethod
    def step(
        self, of: Arrays, at: Where, actions: Int[np.ndarray, " N"], draws: Float[np.ndarray, " N"]
    ) -> tuple[Int[np.ndarray, "N K"], Float[np.ndarray, " N"]]:
        """The next states, and the rewards, from a draw in [0, 1) for each copy."""

    @abstractmethod
    def observe(self, of: Arrays, at: Where) -> Int[np.ndarray, "N D"]:
        """What agents see."""

    @abstractmethod
    def returns(self, of: Arrays) -> tuple[Float[np.ndarray, "N E"], Float[np.ndarray, "N E"]]:
        """The expected return of each episode: of an agent that knows the task, and of one that acts at random."""

    @abstractmethod
    def picture(self, of: Arrays, at: Where) -> UInt8[np.ndarray, "H W 3"]:
        """The first copy as a few coloured cells, its hidden task too."""

    @property
    def goals(self) -> Sequence[Goal]:
        """A goal is the number of a task, alone: (3,)."""
        return _Tasks(self.n_tasks)

    def index(self, goal: Goal, parameter: str = "goal") -> int:
        whole = isinstance(goal, Iterable) and len(tuple(goal)) == 1
        if not whole or not 0 <= goal[0] < self.n_tasks:
            raise InputError(
                f"expected `{parameter}` to be the number of a task of {self.name}, (0,) to ({self.n_tasks - 1},), got "
                f"{shown(goal)}"
            )
        return int(goal[0])

    def drawn_goals(self, tasks: int | None, seed: int) -> tuple[Goal, ...]:
        number = self.usual_tasks if tasks is None else tasks
        most_of("tasks", number, 1, self.n_tasks)
        as_integer("split_seed", seed, 0)
        return tuple((task,) for task in self.split(number, 0, seed).train)

    @property
    def usual_tasks(self) -> int:
        return min(self.n_tasks, USUAL_TASKS)

    @property
    def life(self) -> int | None:
        return self.episodes

    def optimum(self, goal: Goal) -> float:
        return float(self.optimal_return([self.index(goal)]).mean())

    def optimum_in(self, goal: Goal, episode: int) -> float:
        return float(self.optimal_return([self.index(goal)])[0, min(episode, self.episodes - 1)])

    def most_return(self, goal: Goal) -> float:
        return self.best_return

    @property
    def best_return(self) -> float:
        """Each step pays 1 at most."""
        return float(self.horizon)

    @property
    def title(self) -> str:
        return self.name + "".join(f" {name}={value}" for name, value in self._unusual().items())

    @property
    def options(self) -> dict[str, Any]:
        return asdict(self)

    def suffix(self) -> str:
        """`-arms10-horizon5`: what is not as usual."""
        return "".join(f"-{name}{value}" for name, value in self._unusual().items())

    def _unusual(self) -> dict[str, Any]:
        usual = asdict(type(self)())  # type: ignore[call-arg]  # every option of a family has a usual value
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    def optimal_return(self, tasks: object) -> Float[np.ndarray, "N E"]:
        """What an agent that knows the task earns in each episode, on average.

        Raises:
            InputError: there are no such tasks.
        """
        return self.returns(self.arrays(self.checked(tasks)))[0]

    def random_return(self, tasks: object) -> Float[np.ndarray, "N E"]:
        """What an agent that acts at random earns in each episode, on average.

        Raises:
            InputError: there are no such tasks.
        """
        return self.returns(self.arrays(self.checked(tasks)))[1]

    def checked(self, tasks: object) -> Int[np.ndarray, " N"]:
        """The numbers of tasks as an array.

        Raises:
            InputError: they are no numbers of tasks.
        """
        try:
            numbers = np.asarray(tasks)
        except ValueError:
            numbers = np.zeros(0)
        if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "iu":
            raise InputError(
                "expected `tasks` to be numbers of tasks, as [3, 5], got something else; `split` draws some"
            )
        if numbers.min() < 0 or numbers.max() >= self.n_tasks:
            raise InputError(
                f"expected `tasks` to be numbers from 0 to {self.n_tasks - 1}, the tasks of {self.name}, got "
                f"{numbers.min()} to {numbers.max()}"
            )
        return numbers.astype(np.int64)

    def split(self, n_train: int, n_held_out: int, seed: int = 0) -> TaskSplit:
        """Tasks for training and tasks held out, drawn without any of them twice.

        Raises:
            InputError: fewer tasks than that, or a number that is none.
        """
        n_train, n_held_out = as_integer("n_train", n_train), as_integer("n_held_out", n_held_out)
        seed, total = as_integer("seed", seed), n_train + n_held_out
        if total > self.n_tasks:
            raise InputError(
                f"expected `n_train` and `n_held_out` to be at most {self.n_tasks:,} together, the tasks of "
                f"{self.name}, got {total:,}"
            )
        draws = np.random.default_rng(seed)
        if self.n_tasks <= 4 * total:
            order = draws.permutation(self.n_tasks)[:total].tolist()
        else:
            # Few of very many: those that were drawn already are drawn again.
            order = list[int]()
            seen = set[int]()
            while len(order) < total:
                for number in draws.integers(self.n_tasks, size=total - len(order)).tolist():
                    if number not in seen:
                        seen.add(number)
                        order.append(number)
        return TaskSplit(tuple(order[:n_train]), tuple(order[n_train:]))


class _Tasks(Sequence[Goal]):
    """The numbers of tasks as goals, of which there may be billions."""

    def __init__(self, n: int) -> None:
        self._numbers = range(n)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Goal: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Goal]: ...
    def __getitem__(self, place: int | slice) -> Goal | Sequence[Goal]:
        if isinstance(place, slice):
            return [(number,) for number in self._numbers[place]]
        return (self._numbers[place],)


def most_of(name: str, value: int, least: int, most: int) -> None:
    """Check an option that counts.

    Raises:
        InputError: it is no integer from `least` to `most`.
    """
    as_integer(name, value, least, most)
