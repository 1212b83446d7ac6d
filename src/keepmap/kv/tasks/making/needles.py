"""Needles in a haystack, as RULER words them: a key and a value in a sentence, hidden among others."""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from keepmap.kv.tasks.making.haystack import draw_keys
from keepmap.kv.tasks.making.woven import Woven
from keepmap.kv.tasks.task import Question, Span, TaskSample

__all__ = ["DEPTHS", "NOISE", "Needle", "ask", "draw_needles", "draw_number", "draw_uuid", "hidden", "needle_slots"]

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
DEPTHS = 40
"""Places in a text of sentences where a needle can be, evenly over it."""


@dataclass(frozen=True)
class Needle:
    """A key, its value, and what kind of value that is: "number" or "uuid"."""

    key: str
    value: str
    kind: str = "number"

    @property
    def sentence(self) -> str:
        """What is hidden."""
        return f"One of the special magic {self.kind}s for {self.key} is: {self.value}."


def draw_number(rng: random.Random, digits: int = 7) -> str:
    """A number of so many digits, without a zero in front."""
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def draw_uuid(rng: random.Random) -> str:
    """A random UUID, version 4."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def draw_needles(
    rng: random.Random, n: int, value: Callable[[random.Random], str], kind: str = "number"
) -> list[Needle]:
    """n needles of different keys."""
    keys = [draw_uuid(rng) for _ in range(n)] if kind == "uuid" else draw_keys(rng, n)
    return [Needle(key, value(rng), kind) for key in keys]


def needle_slots(rng: random.Random, n: int, size: int) -> list[int]:
    """Before which of `size` sentences each of n needles stands: depths of `DEPTHS`, different ones where n allows."""
    places = range(DEPTHS)
    depths = rng.sample(places, n) if n <= DEPTHS else rng.choices(places, k=n)
    return [size * depth // (DEPTHS - 1) for depth in depths]


def hidden(
    lines: Sequence[str], needles: Sequence[Needle], slots: Sequence[int], between: str, start: str
) -> tuple[str, dict[Needle, Span]]:
    """Lines with needles before those that `slots` names, and where each needle stands."""
    woven, spans = Woven(start), dict[Needle, Span]()
    for index in range(len(lines) + 1):
        for needle, slot in zip(needles, slots, strict=True):
            if slot == index:
                spans[needle] = woven.add(needle.sentence)
                woven.add(between)
        if index < len(lines):
            woven.add(lines[index])
            woven.add(between)
    return woven.text, spans


def ask(context: Callable[[str], tuple[str, Mapping[Needle, Span]]], wanted: Sequence[Needle], kind: str) -> TaskSample:
    """RULER's wording of the question for the values of all that is wanted, which is of one key or of several.

    Args:
        context: from the words that it begins with to the text, and where each needle is.
    """
    keys = list(dict.fromkeys(needle.key for needle in wanted))
    query = keys[0] if len(keys) == 1 else ", ".join(keys[:-1]) + f", and {keys[-1]}"
    many = len(wanted) > 1
    noun, verb = (f"{kind}s", "are") if many else (kind, "is")
    start = (
        f"{'Some' if many else 'A'} special magic {noun} {verb} hidden within the following text. Make sure to "
        f"memorize it. I will quiz you about the {noun} afterwards.\n"
    )
    text, spans = context(start)
    # Values are wanted in the order of the question, and of one key in that of the text.
    order = sorted(wanted, key=lambda needle: (keys.index(needle.key), spans[needle]))
    values = [needle.value for needle in order]
    asks = "are all" if many else "is"
    question = Question(
        text=f"\nWhat {asks} the special magic {noun} for {query} mentioned in the provided text?",
        prefix=f" The special magic {noun} for {query} mentioned in the provided text {verb}",
        answers=tuple(values),
        target=" " + ", ".join(values),
        evidence=tuple(spans[needle] for needle in order),
    )
    return TaskSample(context=text, questions=(question,))
