"""Several values of one key, all of which are asked for."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.needles import Needle, ask, draw_needles, draw_number, hidden, needle_slots
from keepmap.kv.tasks.task import Task, TaskSample

__all__ = ["NiahMultivalue"]


@dataclass(frozen=True)
class NiahMultivalue(Task):
    """Several numbers of one key hidden in prose, all of which are asked for.

    Attributes:
        values: how many.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), niah_multivalue, with another haystack than Paul Graham's
    essays.
    """

    values: int = 4

    name: ClassVar[str] = "niah_multivalue"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 128

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The needles at random depths of `size` sentences."""
        drawn = draw_needles(rng, self.values, draw_number)
        needles = [Needle(drawn[0].key, needle.value) for needle in drawn]
        slots, lines = needle_slots(rng, self.values, size), haystack.sentences(rng, size)
        return ask(lambda start: hidden(lines, needles, slots, " ", start), needles, "number")
