"""One needle among others that differ in their keys."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.needles import ask, draw_needles, draw_number, draw_uuid, hidden, needle_slots
from keepmap.kv.tasks.task import Task, TaskSample

__all__ = ["NiahMultikey1", "NiahMultikey2", "NiahMultikey3"]


@dataclass(frozen=True)
class NiahMultikey1(Task):
    """Several numbers hidden in prose, one of which is asked for.

    Attributes:
        keys: how many are hidden.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), niah_multikey_1, with another haystack than Paul Graham's
    essays.
    """

    keys: int = 4

    name: ClassVar[str] = "niah_multikey_1"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 128

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The needles at random depths of `size` sentences."""
        needles = draw_needles(rng, self.keys, draw_number)
        slots, lines = needle_slots(rng, self.keys, size), haystack.sentences(rng, size)
        return ask(lambda start: hidden(lines, needles, slots, " ", start), needles[:1], "number")


@dataclass(frozen=True)
class NiahMultikey2(Task):
    """Lines that are all needles, of words and numbers, one of which is asked for.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), niah_multikey_2.
    """

    name: ClassVar[str] = "niah_multikey_2"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 128

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """`size` needles, or one."""
        return _all_needles(rng, size, "number")


@dataclass(frozen=True)
class NiahMultikey3(Task):
    """Lines that are all needles, of UUIDs and UUIDs, one of which is asked for.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), niah_multikey_3.
    """

    name: ClassVar[str] = "niah_multikey_3"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 128

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """`size` needles, or one."""
        return _all_needles(rng, size, "uuid")


def _all_needles(rng: random.Random, size: int, kind: str) -> TaskSample:
    share, n = rng.random(), max(1, size)
    needles = draw_needles(rng, n, draw_uuid if kind == "uuid" else draw_number, kind)
    return ask(lambda start: hidden([], needles, [0] * n, "\n", start), [needles[int(share * n)]], kind)
