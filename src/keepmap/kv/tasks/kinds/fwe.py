"""The words of an unknown language that come most often."""

import random
import string
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.woven import Woven
from keepmap.kv.tasks.task import Question, Span, Task, TaskSample

__all__ = ["Fwe"]

_LETTERS = 6
_VOCABULARY = 40
_ZETA_2 = 1.6449340668482264


@dataclass(frozen=True)
class Fwe(Task):
    """A text of made-up words whose counts fall with the square of their rank; the most frequent three are asked for.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), fwe. The first rank is "...", which is to be ignored.
    Differs from the paper: 40 different words at any length.
    """

    name: ClassVar[str] = "fwe"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 50

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """About four words for each of `size`; fewer than three ranks that differ in their counts are no sample."""
        words: dict[str, None] = {"...": None}
        while len(words) < _VOCABULARY:
            words["".join(rng.choices(string.ascii_lowercase, k=_LETTERS))] = None
        total = 4 * (size + 16)  # of 64 words, ranks 2 to 5 come 9, 4, 2 and 1 times
        counts = {word: int(total / (_ZETA_2 * rank**2)) for rank, word in enumerate(words, start=1)}
        listed = [word for word, count in counts.items() for _ in range(count)]
        rng.shuffle(listed)
        wanted = tuple(words)[1:4]
        woven = Woven(
            "Read the following coded text and track the frequency of each coded word. Find the three most frequently "
            "appeared coded words. "
        )
        evidence: list[Span] = []
        for index, word in enumerate(listed):
            woven.add(" " if index else "")
            span = woven.add(word)
            evidence += [span] if word in wanted else []
        question = Question(
            text="\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most "
            "frequently appeared words in the above coded text?",
            prefix=" Answer: According to the coded text above, the three most frequently appeared words are:",
            answers=wanted,
            target=f" {', '.join(wanted)}",
            evidence=tuple(evidence),
        )
        return TaskSample(context=woven.text, questions=(question,))
