"""Words that stand in a list more often than the others."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.errors import InputError
from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.woven import Woven
from keepmap.kv.tasks.task import Question, Span, Task, TaskSample

__all__ = ["Cwe"]


@dataclass(frozen=True)
class Cwe(Task):
    """A numbered list of words, some of which come often; these are asked for.

    Attributes:
        common: how many come often. often, rarely: how many times these and the others come.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), cwe, with its numbers below 4,096 tokens.
    Differs from the paper: no worked example before it; the words are the haystack's.
    """

    common: int = 10
    often: int = 6
    rarely: int = 1

    name: ClassVar[str] = "cwe"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 120

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The common words, and `size` others."""
        words, n = haystack.words, self.common + size
        if n > len(words):
            raise InputError(
                f"{self.name} at this `length` needs {n:,} different words, and the haystack ({haystack.name}) has "
                f"{len(words):,}; give a smaller `length`, or a longer `haystack`"
            )
        drawn = rng.sample(words, self.common)
        others = [word for word in rng.sample(words, n) if word not in drawn][:size]
        listed = [*drawn * self.often, *others * self.rarely]
        rng.shuffle(listed)
        woven = Woven(
            "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones "
            "that appear most often.\n"
        )
        evidence: list[Span] = []
        for number, word in enumerate(listed, start=1):
            woven.add(f"{'' if number == 1 else ' '}{number}. ")
            span = woven.add(word)
            evidence += [span] if word in drawn else []
        question = Question(
            text=f"\nQuestion: What are the {self.common} most common words in the above list?",
            prefix=f" Answer: The top {self.common} words that appear most often in the list are:",
            answers=tuple(drawn),
            target="".join(f" {number}. {word}" for number, word in enumerate(drawn, start=1)),
            evidence=tuple(evidence),
        )
        return TaskSample(context=woven.text, questions=(question,))
