"""Texts whose second halves are predicted from the first: NLL as one more task."""

import random
from dataclasses import dataclass
from typing import ClassVar

from keepmap.errors import InputError
from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.task import Task, TaskSample

__all__ = ["Texts"]


@dataclass(frozen=True)
class Texts(Task):
    """Texts that go on: nothing is asked, and what comes in the second half has a likelihood.

    Attributes:
        texts: each of them.
    """

    texts: tuple[str, ...]

    name: ClassVar[str] = "text"
    scoring: ClassVar[None] = None
    new_tokens: ClassVar[int] = 0

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """Nothing is made: see `fixed`."""
        raise InputError("texts make no samples; they are ones")

    def fixed(self) -> tuple[TaskSample, ...]:
        """A sample without a question for each text."""
        return tuple(TaskSample(context=text, questions=()) for text in self.texts)
