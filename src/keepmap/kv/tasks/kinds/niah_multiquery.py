"""Several keys, the values of all of which are asked for together."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.needles import ask, draw_needles, draw_number, hidden, needle_slots
from keepmap.kv.tasks.task import Task, TaskSample

__all__ = ["NiahMultiquery"]


@dataclass(frozen=True)
class NiahMultiquery(Task):
    """Several numbers hidden in prose, all of which are asked for together.

    Attributes:
        keys: how many.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), niah_multiquery, with another haystack than Paul Graham's
    essays.
    """

    keys: int = 4

    name: ClassVar[str] = "niah_multiquery"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 128

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The needles at random depths of `size` sentences."""
        needles = draw_needles(rng, self.keys, draw_number)
        slots, lines = needle_slots(rng, self.keys, size), haystack.sentences(rng, size)
        return ask(lambda start: hidden(lines, needles, slots, " ", start), needles, "number")
