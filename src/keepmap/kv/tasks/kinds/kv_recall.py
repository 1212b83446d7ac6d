"""A value in a JSON object."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack, draw_keys
from keepmap.kv.tasks.making.needles import draw_number, draw_uuid
from keepmap.kv.tasks.making.woven import Woven
from keepmap.kv.tasks.task import Question, Span, Task, TaskSample

__all__ = ["KvRecall"]


@dataclass(frozen=True)
class KvRecall(Task):
    """A JSON object of keys and values, one of which is asked for.

    Attributes:
        uuids: whether keys and values are UUIDs, as in the reference; else a key is two words, and a value a number.
        digits: of the numbers.

    Reference: Liu et al. 2023 (arXiv 2307.03172), key-value retrieval.
    """

    uuids: bool = False
    digits: int = 5

    name: ClassVar[str] = "kv_recall"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 64

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """An object of `size` pairs, or one."""
        share, n = rng.random(), max(1, size)
        keys = [draw_uuid(rng) for _ in range(n)] if self.uuids else draw_keys(rng, n)
        values = [draw_uuid(rng) if self.uuids else draw_number(rng, self.digits) for _ in keys]
        woven, spans = Woven("Extract the value of a key from the JSON object below.\n\nJSON data:\n{"), list[Span]()
        for index, (key, value) in enumerate(zip(keys, values, strict=True)):
            woven.add(",\n " if index else "")
            spans.append(woven.add(f'"{key}": "{value}"'))
        woven.add("}\n")
        at = int(share * n)
        question = Question(
            text=f'\nWhat is the value of the key "{keys[at]}"?',
            prefix=f' The value of the key "{keys[at]}" is',
            answers=(values[at],),
            target=f" {values[at]}",
            evidence=(spans[at],),
        )
        return TaskSample(context=woven.text, questions=(question,))
