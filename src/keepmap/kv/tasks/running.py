"""The answers of a run, unit by unit: the full cache first, then every method on the tasks that it can answer."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from keepmap.core.progress import Progress
from keepmap.core.runs.units import Once, every_time
from keepmap.errors import InputError
from keepmap.kv.tasks.results.rows import FULL, AnswerRow
from keepmap.kv.tasks.results.task_run import Gate, TaskRun
from keepmap.kv.tasks.session import TaskSession, Way
from keepmap.kv.tasks.task import Task

__all__ = ["ask_all", "first_units", "unit_name"]


def unit_name(task: Task, sample: int, way: Way) -> str:
    """The record of a method's answers to a sample's questions, in the folder of a run."""
    density = "" if way.key == FULL else f"_{way.density!r}"
    return f"answers/{_plain(task.name)}_{sample:05d}_{_plain(way.key)}{density}.json"


def first_units(session: TaskSession) -> list[str]:
    """The records of the full cache, which are known before anything is done."""
    return [
        unit_name(task, sample, session.full) for task in session.plan.tasks for sample in range(session.samples(task))
    ]


def ask_all(
    session: TaskSession,
    card: Any,
    once: Once = every_time,
    progress: Progress | None = None,
    announced: Callable[[Sequence[str]], object] = lambda names: None,
) -> TaskRun:
    """Ask everything. What an earlier start has recorded is not asked again.

    Args:
        card: the protocol, as the result has it.
        once: told the name of a unit and what does it.
        announced: told the names of all units that are going to be asked for, after the gate.

    Raises:
        InputError: no task passes the gate.
        KeepmapError: as `TaskSession.answers`.
    """
    plan = session.plan
    first = [(task, sample, session.full) for task in plan.tasks for sample in range(session.samples(task))]
    n_all = len(first) * (1 + len(session.ways))
    answers: list[AnswerRow] = []

    def answered(units: Sequence[tuple[Task, int, Way]], n_before: int, n_total: int) -> Iterator[AnswerRow]:
        for at, (task, sample, way) in enumerate(units, start=n_before + 1):
            values = once(unit_name(task, sample, way), partial(_values, session, task, sample, way))
            yield from map(AnswerRow.from_json, values)
            if progress is not None:
                progress(at / n_total)

    answers += answered(first, 0, n_all)
    gates = {task.name: _gate(task, answers, plan.gate) for task in plan.tasks}
    passing = [task for task in plan.tasks if gates[task.name].passes]
    if not passing:
        shares = ", ".join(f"{name} {gate.score:.0%}" for name, gate in gates.items() if gate.score is not None)
        raise InputError(
            f"no task is informative for {session.language_model.label}: with the full cache it answers {shares}, and "
            f"gate={plan.gate:g} asks for {plan.gate:.0%}; give other tasks, a smaller `length`, or a lower `gate`"
        )
    units = [(task, sample, way) for task in passing for sample in range(session.samples(task)) for way in session.ways]
    announced([unit_name(*unit) for unit in units])
    answers += answered(units, len(first), len(first) + len(units))
    return TaskRun(answers=tuple(answers), gates=gates, card=card)


def _values(session: TaskSession, task: Task, sample: int, way: Way) -> list[dict[str, Any]]:
    """The answers of a unit as JSON values."""
    return [asdict(row) for row in session.answers(task, sample, way)]


def _gate(task: Task, answers: Sequence[AnswerRow], gate: float) -> Gate:
    scores = [row.score for row in answers if row.task == task.name and row.score is not None]
    if not scores:
        return Gate(score=None, passes=True)
    score = sum(scores) / len(scores)
    return Gate(score=score, passes=score >= gate)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
