"""What collecting, training, acting and measuring need of a world, be it a dark room or a family of tasks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from keepmap.agents.environments.goals import Goal

__all__ = ["World"]


class World(ABC):
    """A world in which an agent has to find out what is hidden from it: its goal, or the number of its task.

    Attributes:
        horizon: steps of an episode.
    """

    horizon: int

    name: ClassVar[str]
    """What options and file names call the world."""
    gymnasium_id: ClassVar[str]

    @property
    @abstractmethod
    def observation_sizes(self) -> tuple[int, ...]:
        """How many values each number of an observation has."""

    @property
    @abstractmethod
    def n_actions(self) -> int:
        """How many actions there are."""

    @property
    @abstractmethod
    def goals(self) -> Sequence[Goal]:
        """Every goal, in the order that numbers them."""

    @abstractmethod
    def index(self, goal: Goal, parameter: str = "goal") -> int:
        """The number of a goal, its place in `goals`.

        Args:
            parameter: whose value it is, for the messages.

        Raises:
            InputError: there is no such goal.
        """

    @abstractmethod
    def drawn_goals(self, tasks: int | None, seed: int) -> Sequence[Goal]:
        """The goals that are trained on or held out: all, or of a family so many that a seed draws.

        Raises:
            InputError: not so many.
        """

    @property
    @abstractmethod
    def usual_tasks(self) -> int:
        """How many `drawn_goals` draws where nobody says how many."""

    @property
    @abstractmethod
    def life(self) -> int | None:
        """Episodes after which an agent starts anew; None where it lives on."""

    @abstractmethod
    def optimum(self, goal: Goal) -> float:
        """The mean return of an episode of an agent that knows the goal."""

    def optimum_in(self, goal: Goal, episode: int) -> float:
        """The same in one episode of a life, counted from 0, where they differ."""
        return self.optimum(goal)

    @abstractmethod
    def most_return(self, goal: Goal) -> float:
        """What no episode with this goal exceeds."""

    @property
    @abstractmethod
    def best_return(self) -> float:
        """What no episode exceeds, whatever the goal."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The name and what is special, for people: "darkroom 9x9"."""

    @abstractmethod
    def suffix(self) -> str:
        """What names of files say of a world that is not as usual; nothing for one that is."""

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What makes it this world, by name, as JSON values."""
