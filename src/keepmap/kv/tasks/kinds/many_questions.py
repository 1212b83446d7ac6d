"""Many questions about one context, which is compressed once."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.needles import Needle, ask, draw_needles, draw_number, hidden, needle_slots
from keepmap.kv.tasks.task import Span, Task, TaskSample

__all__ = ["ManyQuestions", "ManyTurns"]


@dataclass(frozen=True)
class ManyQuestions(Task):
    """Several numbers hidden in prose, each of which is asked for by a question of its own, on one compressed cache.

    Attributes:
        questions: how many.

    Reference: the multi-request mode of SCBench (Li et al. 2024, arXiv 2412.10319).
    """

    questions: int = 4

    name: ClassVar[str] = "many_questions"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 32

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The needles at random depths of `size` sentences; the questions in random order."""
        needles = draw_needles(rng, self.questions, lambda rng: draw_number(rng, 5))
        slots, lines = needle_slots(rng, self.questions, size), haystack.sentences(rng, size)
        start = (
            "Some special magic numbers are hidden within the following text. Make sure to memorize all of them. I "
            "will quiz you about the numbers afterwards.\n"
        )

        def context(_: str) -> tuple[str, dict[Needle, Span]]:
            return hidden(lines, needles, slots, " ", start)

        text, _ = context(start)
        questions = [ask(context, [needle], "number").questions[0] for needle in needles]
        return TaskSample(context=text, questions=tuple(questions))


@dataclass(frozen=True)
class ManyTurns(ManyQuestions):
    """The same numbers in one conversation: each question comes after the earlier ones and their right answers.

    The cache goes on from turn to turn, and what it has dropped for one is gone for the next.

    Attributes:
        questions: how many.

    Reference: the multi-turn mode of SCBench (Li et al. 2024, arXiv 2412.10319).
    """

    name: ClassVar[str] = "many_turns"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 32
    in_turns: ClassVar[bool] = True
