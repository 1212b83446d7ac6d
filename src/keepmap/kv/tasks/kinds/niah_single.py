"""One needle in a haystack of noise or of prose."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.needles import (
    NOISE,
    Needle,
    ask,
    draw_needles,
    draw_number,
    draw_uuid,
    hidden,
    needle_slots,
)
from keepmap.kv.tasks.task import Task, TaskSample

__all__ = ["NiahSingle1", "NiahSingle2", "NiahSingle3"]


@dataclass(frozen=True)
class NiahSingle1(Task):
    """One number hidden in a sentence that repeats.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), niah_single_1.
    """

    name: ClassVar[str] = "niah_single_1"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 128

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The needle before a random one of `size` lines."""
        needles = draw_needles(rng, 1, draw_number)
        slot = rng.random()
        return ask(
            lambda start: hidden([NOISE] * size, needles, [int(slot * (size + 1))], "\n", start), needles, "number"
        )


@dataclass(frozen=True)
class NiahSingle2(Task):
    """One number hidden in prose.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), niah_single_2, with another haystack than Paul Graham's
    essays.
    """

    name: ClassVar[str] = "niah_single_2"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 128

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The needle at a random depth of `size` sentences."""
        return _in_prose(rng, size, haystack, draw_needles(rng, 1, draw_number))


@dataclass(frozen=True)
class NiahSingle3(Task):
    """One UUID hidden in prose.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), niah_single_3, with another haystack than Paul Graham's
    essays.
    """

    name: ClassVar[str] = "niah_single_3"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 128

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The needle at a random depth of `size` sentences."""
        (needle,) = draw_needles(rng, 1, draw_uuid)
        return _in_prose(rng, size, haystack, [Needle(needle.key, needle.value, "uuid")])


def _in_prose(rng: random.Random, size: int, haystack: Haystack, needles: list[Needle]) -> TaskSample:
    slots = needle_slots(rng, 1, size)
    lines = haystack.sentences(rng, size)
    return ask(lambda start: hidden(lines, needles, slots, " ", start), needles, needles[0].kind)
