"""Variables that are set to each other in a chain."""

import random
import string
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.needles import NOISE
from keepmap.kv.tasks.making.woven import Woven
from keepmap.kv.tasks.task import Question, Task, TaskSample

__all__ = ["Vt"]

_LETTERS = 5


@dataclass(frozen=True)
class Vt(Task):
    """A number and variables that are set to it, each by the one before, hidden in noise; all of these are asked for.

    Attributes:
        hops: how many are set to another one.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), vt.
    Differs from the paper: one chain, and no worked example before it.
    """

    hops: int = 4

    name: ClassVar[str] = "vt"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 30

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The chain in its order, before random ones of `size` lines."""
        names = _names(rng, self.hops + 1)
        value = str(rng.randrange(10000, 99999))
        slots = sorted(int(rng.random() * (size + 1)) for _ in names)
        lines = [f"VAR {names[0]} = {value}"]
        lines += [f"VAR {name} = VAR {before} " for before, name in zip(names[:-1], names[1:], strict=True)]
        woven = Woven("Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n")
        evidence = []
        for index in range(size + 1):
            for line, slot in zip(lines, slots, strict=True):
                if slot == index:
                    evidence.append(woven.add(line))
                    woven.add("\n")
            if index < size:
                woven.add(f"{NOISE}\n")
        question = Question(
            text=f"Question: Find all variables that are assigned the value {value} in the text above.",
            prefix=f" Answer: According to the chain(s) of variable assignment in the text above, {len(names)} "
            f"variables are assigned the value {value}, they are:",
            answers=tuple(names),
            target=f" {' '.join(names)}",
            evidence=tuple(evidence),
        )
        return TaskSample(context=woven.text, questions=(question,))


def _names(rng: random.Random, n: int) -> list[str]:
    names: dict[str, None] = {}
    while len(names) < n:
        names["".join(rng.choices(string.ascii_uppercase, k=_LETTERS))] = None
    return list(names)
