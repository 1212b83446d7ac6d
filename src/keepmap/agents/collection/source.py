"""What a source of learning histories is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import Room

__all__ = ["Source", "Tell"]

Tell = Callable[[int], None]
"""Called with the number of steps taken since the last time, summed over the learners."""


@dataclass(frozen=True)
class Source(ABC):
    """A learning algorithm with its options, which are the fields of the dataclass.

    A file of its own in this folder with a subclass that has a `name` is all that a new one needs.
    """

    name: ClassVar[str]
    usual_episodes: ClassVar[int]
    """After which the learners have come near their optimum."""

    def check(self) -> None:
        """Whether the source can run here; called before any work.

        Raises:
            InputError: something that it needs is missing; says how to install it.
        """
        return

    @abstractmethod
    def learn(self, room: Room, goals: Sequence[Goal], learners: int, episodes: int, seed: int, tell: Tell) -> Streams:
        """What `learners` independent learners of each goal see from their first step on.

        A goal's learners depend on (options, seed, goal, learners, episodes) alone, not on the other goals of the call.

        Returns:
            T = episodes * horizon steps of n = len(goals) * learners learners, those of goals[0] first.
        """
