"""Questions of a user's own file."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.errors import InputError
from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.making.question_files import read_questions
from keepmap.kv.tasks.task import Question, Task, TaskSample

__all__ = ["Qa"]

_ORDER = "Only give me the answer and do not output any other words."


@dataclass(frozen=True)
class Qa(Task):
    """Questions of a JSON file, each with its context and its answers; those of one context are asked of one cache.

    Attributes:
        path: the file, as docs/answers.md describes it; SQuAD's form is one.

    Reference: RULER (Hsieh et al. 2024, arXiv 2404.06654), qa_1 and qa_2, whose wording it has.
    Differs from the paper: contexts are read as they are, without others around them.
    """

    path: str = ""

    name: ClassVar[str] = "qa"
    scoring: ClassVar[Literal["all", "part"]] = "part"
    new_tokens: ClassVar[int] = 32

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """Nothing is made: see `fixed`."""
        raise InputError("the task qa makes no samples; its file has them")

    def fixed(self) -> tuple[TaskSample, ...]:
        """A sample for each context of the file, in its order."""
        if not self.path:
            raise InputError("the task qa needs a file of questions; give `qa_file`")
        questions = read_questions(self.path)
        start = f"Answer the question based on the given documents. {_ORDER}\n\nThe following are given documents.\n\n"
        samples = []
        for context in dict.fromkeys(question.context for question in questions):
            own = [question for question in questions if question.context == context]
            inquiries = tuple(
                Question(
                    text=f"\n\nAnswer the question based on the given documents. {_ORDER}\n\nQuestion: {each.question}",
                    prefix=" Answer:",
                    answers=each.answers,
                    target=f" {each.answers[0]}",
                    evidence=tuple((first + len(start), end + len(start)) for first, end in each.evidence),
                )
                for each in own
            )
            samples.append(TaskSample(context=start + context, questions=inquiries, name=own[0].name))
        return tuple(samples)
