"""The answers of a run, unit by unit: the full cache first, then all methods side by side on what it can answer."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from keepmap.core.progress import Progress
from keepmap.core.runs.units import Once, every_time
from keepmap.errors import InputError
from keepmap.kv.tasks.results.rows import AnswerRow
from keepmap.kv.tasks.results.task_run import Gate, TaskRun
from keepmap.kv.tasks.session import TaskSession
from keepmap.kv.tasks.task import Task

__all__ = ["Ahead", "Unit", "ask_all", "first_units", "nothing_ahead"]


@dataclass(frozen=True)
class Unit:
    """A sample of a task, asked with the full cache, or with every method at every density.

    >>> Unit("facts", 3, is_full=True).name
    'answers/facts_00003_full.json'
    """

    task: str
    sample: int
    is_full: bool

    @property
    def name(self) -> str:
        """Its record, in the folder of a run."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", self.task)
        return f"answers/{plain}_{self.sample:05d}{'_full' if self.is_full else ''}.json"

    def values(self, session: TaskSession) -> list[dict[str, Any]]:
        """Its answers as JSON values."""
        (task,) = (task for task in session.plan.tasks if task.name == self.task)
        ways = [session.full] if self.is_full else session.ways
        return [asdict(row) for row in session.answers(task, self.sample, ways)]


Ahead = Callable[[Sequence[Unit]], Iterable[object]]
"""Told the units that are going to be asked for: records those that it likes, and gives something after each."""


def nothing_ahead(units: Sequence[Unit]) -> Iterable[object]:
    """Every unit is done when its turn comes."""
    return ()


def first_units(session: TaskSession) -> list[Unit]:
    """Those of the full cache, which are known before anything is done."""
    return [
        Unit(task.name, sample, is_full=True) for task in session.plan.tasks for sample in range(session.samples(task))
    ]


def ask_all(
    session: TaskSession,
    card: Any,
    once: Once = every_time,
    progress: Progress | None = None,
    announced: Callable[[Sequence[str]], object] = lambda names: None,
    ahead: Ahead = nothing_ahead,
) -> TaskRun:
    """Ask everything. What an earlier start has recorded is not asked again.

    Args:
        card: the protocol, as the result has it.
        once: told the name of a unit and what does it.
        announced: told the names of all units that are going to be asked for, after the gate.
        ahead: records units before their turn comes, by other processes.

    Raises:
        InputError: no task passes the gate.
        KeepmapError: as `TaskSession.answers`.
    """
    plan = session.plan
    first = first_units(session)
    answers: list[AnswerRow] = []
    most = 0.0

    def done(share: float) -> None:
        nonlocal most
        if progress is not None and share > most:
            progress(share)
        most = max(most, share)

    def answered(units: Sequence[Unit], n_before: int, n_total: int) -> Iterator[AnswerRow]:
        for at, _ in enumerate(ahead(units), start=n_before + 1):
            done(at / n_total)
        for at, unit in enumerate(units, start=n_before + 1):
            yield from map(AnswerRow.from_json, once(unit.name, partial(unit.values, session)))
            done(at / n_total)

    answers += answered(first, 0, 2 * len(first))
    gates = {task.name: _gate(task, answers, plan.gate) for task in plan.tasks}
    if not any(gate.passes for gate in gates.values()):
        shares = ", ".join(f"{name} {gate.score:.0%}" for name, gate in gates.items() if gate.score is not None)
        raise InputError(
            f"no task is informative for {session.language_model.label}: with the full cache it answers {shares}, and "
            f"gate={plan.gate:g} asks for {plan.gate:.0%}; give other tasks, a smaller `length`, or a lower `gate`"
        )
    units = [Unit(unit.task, unit.sample, is_full=False) for unit in first if gates[unit.task].passes]
    announced([unit.name for unit in units])
    answers += answered(units, len(first), len(first) + len(units))
    return TaskRun(answers=tuple(answers), gates=gates, card=card)


def _gate(task: Task, answers: Sequence[AnswerRow], gate: float) -> Gate:
    scores = [row.score for row in answers if row.task == task.name and row.score is not None]
    if not scores:
        return Gate(score=None, passes=True)
    score = sum(scores) / len(scores)
    return Gate(score=score, passes=score >= gate)
