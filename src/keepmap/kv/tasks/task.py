"""What a task is: frozen options and one function that makes a sample; adding a task is adding one file to `kinds/`."""

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.core.arguments import check_options
from keepmap.core.joining.registry import Registry
from keepmap.errors import InputError
from keepmap.kv.tasks.making.haystack import Haystack

__all__ = ["SCORINGS", "Question", "Span", "Task", "TaskSample", "as_task", "tasks"]

SCORINGS = ("all", "part")
Span = tuple[int, int]
"""Characters of a context: the first, and the one behind the last."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about a context.

    Attributes:
        text: what comes right after the context. prefix: how the answer begins, which is given to the model.
        answers: what an answer has to hold, as the task's scoring says.
        target: what comes after `prefix` where the answer is right, a space before it; its tokens have the NLL.
        evidence: where in the context the answer stands.
    """

    text: str
    prefix: str
    answers: tuple[str, ...]
    target: str
    evidence: tuple[Span, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskSample:
    """A context and what is asked about it; `name` is what messages call it, where it comes from a file."""

    context: str
    questions: tuple[Question, ...]
    name: str = ""


class Task(ABC):
    """A kind of question with a known answer.

    Class variables, all declared by the final class:
        name: what users type.
        scoring: RULER's: "all" is the share of `answers` that the answer holds, "part" is 1 where it holds any of them;
            None of a task that has a likelihood alone.
        new_tokens: as many RULER lets the model say.
        in_turns: whether a sample's questions are one conversation: each comes after the earlier ones and their right
            answers, and not on a fork of its own.

    >>> import keepmap
    >>> class Colours(keepmap.Task):
    ...     name, scoring, new_tokens = "colours", "all", 8
    ...     def sample(self, rng, size, haystack):
    ...         context = " ".join([*haystack.sentences(rng, size), "The door is red."])
    ...         words = {"text": " Which colour has the door?", "prefix": " It is", "target": " red"}
    ...         question = keepmap.Question(**words, answers=("red",))
    ...         return keepmap.TaskSample(context=context, questions=(question,))
    >>> keepmap.run_tasks("tiny", Colours(), "h2o", density=0.5, n_samples=2, length=120, gate=0.0).tasks
    ('colours',)
    """

    name: ClassVar[str]
    scoring: ClassVar[Literal["all", "part"] | None]
    new_tokens: ClassVar[int]
    in_turns: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_options(self)

    @abstractmethod
    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """A sample that is `size` units long, of whatever the task is made of; all else is drawn from `rng`."""

    def fixed(self) -> tuple[TaskSample, ...] | None:
        """The samples of a task that has some of its own, whatever the length; None of one that makes them."""
        return None


def _check(task: type[Task]) -> None:
    if task.scoring not in (*SCORINGS, None):
        raise InputError(f"its scoring is {task.scoring!r}; expected one of {', '.join(SCORINGS)}")


_TASKS: Registry[Task] = Registry(
    "task",
    Task,  # type: ignore[type-abstract]
    "keepmap.kv.tasks.kinds",
    declares=("scoring", "new_tokens"),
    check=_check,
)


def tasks() -> dict[str, type[Task]]:
    """Every task by name.

    >>> "niah_single_1" in tasks()
    True
    """
    return _TASKS.classes()


def as_task(task: object, parameter: str = "tasks") -> Task:
    """A task as it is; a name as the task of that name.

    Raises:
        InputError: neither, or an unknown name.
    """
    if isinstance(task, str):
        return _TASKS.make(task, parameter=parameter)
    if isinstance(task, Task):
        _TASKS.check_value(task, parameter)
        return task
    is_class = isinstance(task, type) and issubclass(task, Task)
    hint = f"the class {task.__name__}; make an instance" if is_class else f"{task!r:.60}"  # type: ignore[attr-defined]
    raise InputError(f"expected `{parameter}` to be names and instances of tasks, got {hint}")
