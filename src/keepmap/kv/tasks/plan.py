"""What a run of tasks does: options checked before a model is loaded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_flag, as_integer, as_number, shown
from keepmap.errors import InputError, did_you_mean
from keepmap.kv.comparison.plan import BASELINE, MethodPlan, plan_methods
from keepmap.kv.method import Method, method_class
from keepmap.kv.modes import Mode, as_mode
from keepmap.kv.tasks.making.haystack import Haystack, as_haystack
from keepmap.kv.tasks.making.texts import Texts
from keepmap.kv.tasks.task import Task, as_task, tasks

__all__ = ["ANSWERS", "PLACES", "TaskPlan", "plan_tasks"]

ANSWERS = ("generated", "teacher_forced")
LONGEST = 2**20
"""Tokens of a sample, at most: as many as a text of the longest that is read."""
PLACES = ("after", "inside")


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """Every option of a run of tasks, checked.

    Attributes:
        tasks: those with questions, then texts. methods: in the order of the request, by density.
        lengths: tokens of a sample, its question among them; samples take turns. None of texts: as they are.
        others: as `run_tasks` has them.
        is_group: whether methods were asked for by a name for several. left_out: which of them are not run, and why.
    """

    tasks: tuple[Task, ...]
    methods: Mapping[float, tuple[MethodPlan, ...]]
    n_samples: int
    lengths: tuple[int, ...]
    mode: Mode
    place: str
    gate: float
    generates: bool
    max_new_tokens: int | None
    chat_template: bool
    seed: int
    haystack: Haystack
    is_group: bool
    left_out: tuple[str, ...]

    @property
    def densities(self) -> tuple[float, ...]:
        """From the smallest."""
        return tuple(sorted(self.methods))


def plan_tasks(
    names: Any,
    methods: Any,
    density: Any,
    *,
    texts: Any,
    n_samples: int,
    length: Any,
    n_sink: int | None,
    window: int,
    mode: str | None,
    chunk_size: int,
    question: str,
    gate: float,
    answers: str,
    max_new_tokens: int | None,
    chat_template: bool,
    seed: int,
    haystack: str | Path | None,
    qa_file: str | Path | None,
) -> TaskPlan:
    """The options of `run_tasks` and `sweep`, checked.

    Raises:
        InputError: one out of range, an unknown task or method, or none of them.
    """
    when = as_mode(mode, chunk_size)
    by_density, left_out = {}, tuple[str, ...]()
    for share in _numbers("density", density, 0.0, 1.0):
        plan = plan_methods(methods, density=share, n_sink=n_sink, window=window)
        late = {each.key: _not_in_a_cache(each, when) for each in plan.methods} if plan.group is not None else {}
        by_density[share] = tuple(each for each in plan.methods if not late.get(each.key))
        left_out = (*plan.left_out, *(f"{key} ({reason})" for key, reason in late.items() if reason))
        is_group = plan.group is not None
    wanted = _tasks(names, qa_file)
    if texts is not None:
        wanted = (*wanted, _texts(texts))
    if not wanted:
        raise InputError(f'no task in `tasks`; name some, or all of them with tasks="all": {", ".join(tasks())}')
    if not any(by_density.values()):
        raise InputError(f"no method in `methods` but {BASELINE}, which always runs; name some")
    return TaskPlan(
        tasks=wanted,
        methods=by_density,
        n_samples=as_integer("n_samples", n_samples, 1),
        lengths=_lengths(length),
        mode=when,
        place=_one_of("question", question, PLACES),
        gate=as_number("gate", gate, 0.0, 1.0),
        generates=_one_of("answers", answers, ANSWERS) == ANSWERS[0],
        max_new_tokens=None if max_new_tokens is None else as_integer("max_new_tokens", max_new_tokens, 1),
        chat_template=as_flag("chat_template", chat_template),
        seed=as_integer("seed", seed),
        haystack=as_haystack(haystack),
        is_group=is_group,
        left_out=left_out,
    )


def _tasks(names: Any, qa_file: str | Path | None) -> tuple[Task, ...]:
    """The tasks, each once; of "all", those that need no file."""
    if isinstance(names, str | Task | type) or not isinstance(names, Iterable):
        names = [names]
    parts = [part for item in names for part in (item.replace(",", " ").split() if isinstance(item, str) else [item])]
    if "all" in parts:
        parts = [*(name for name in tasks() if name != "qa" or qa_file is not None), *parts]
    wanted: dict[str, Task] = {}
    for part in dict.fromkeys(part for part in parts if part != "all"):
        if part == "qa" and qa_file is not None:
            part = tasks()["qa"](path=str(qa_file))  # type: ignore[call-arg]
        task = as_task(part)
        if task.name in wanted and wanted[task.name] is not task and not isinstance(part, str):
            raise InputError(f"got two tasks of the name {task.name} in `tasks`; give them one by one")
        wanted.setdefault(task.name, task)
    if qa_file is not None and "qa" not in wanted:
        raise InputError("got `qa_file` without the task qa; add it to `tasks`, or leave `qa_file` out")
    return tuple(wanted.values())


def _texts(texts: Any) -> Texts:
    several = (texts,) if isinstance(texts, str) else tuple(texts) if isinstance(texts, Iterable) else ()
    if not several or not all(isinstance(text, str) for text in several):
        raise InputError(f"expected `texts` to be a text or several, got {shown(texts)}")
    return Texts(several)


def _not_in_a_cache(plan: MethodPlan, when: Mode) -> str:
    """Why a method cannot answer, "" where it can."""
    method: type[Method] | Method = plan.instance or method_class(plan.key)
    if method.needs == "future":
        return "an oracle, which looks at what comes later"
    return "it looks at the whole prefix: mode once has it" if method.needs == "prefix" and when.name != "once" else ""


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def _lengths(value: Any) -> tuple[int, ...]:
    lengths = tuple(as_integer("length", each, 1, LONGEST) for each in _several(value))
    if not lengths:
        raise InputError("expected `length` to be a number of tokens or several, got none")
    return lengths


def _numbers(name: str, value: Any, low: float, high: float) -> tuple[float, ...]:
    """One number or several, each once."""
    several = dict.fromkeys(as_number(name, each, low, high) for each in _several(value))
    if not several:
        raise InputError(f"expected `{name}` to be a number or several, got none")
    return tuple(several)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> str:
    if value not in known:
        hint = did_you_mean(value, known) if isinstance(value, str) else f"expected one of {', '.join(known)}"
        raise InputError(f"unknown `{name}` {shown(value)}, {hint}")
    return str(value)
