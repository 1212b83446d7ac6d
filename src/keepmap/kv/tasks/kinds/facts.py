"""What the embedded model was trained to recall: the code of a word."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.data.facts import WORDS, draw_code
from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.woven import Woven
from keepmap.kv.tasks.task import Question, Task, TaskSample

__all__ = ["Facts"]


@dataclass(frozen=True)
class Facts(Task):
    """Codes of words stated between lines of prose, each of which is asked for: what "tiny" can do.

    The pairs of word and code are those that its training never saw.

    Attributes:
        questions: how many codes are stated, and asked for on one compressed cache.

    Reference: none; the wording of `keepmap sample-data`.
    """

    questions: int = 4

    name: ClassVar[str] = "facts"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 8

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The statements before random ones of `size` lines; the questions in random order."""
        words = rng.sample(WORDS, self.questions)
        pairs = [(word, draw_code(rng, word, evaluation=True)) for word in words]
        slots = [int(rng.random() * (size + 1)) for _ in pairs]
        lines = haystack.sentences(rng, size)
        woven, spans = Woven(), {}
        for index in range(size + 1):
            for (word, code), slot in zip(pairs, slots, strict=True):
                if slot == index:
                    spans[word] = woven.add(f"The code of {word} is {code}.")
                    woven.add("\n")
            if index < size:
                woven.add(f"{lines[index]}\n")
        questions = [
            Question(
                text=f"What is the code of {word}?",
                prefix=f" The code of {word} is",
                answers=(code,),
                target=f" {code}",
                evidence=(spans[word],),
            )
            for word, code in pairs
        ]
        return TaskSample(context=woven.text, questions=tuple(questions))
