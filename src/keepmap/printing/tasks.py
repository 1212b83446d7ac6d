"""A run of tasks as lines: what is asked, what was answered and kept, what became of the evidence, and verdicts."""

import inspect
import textwrap
from collections.abc import Callable, Sequence

from keepmap.errors import InputError, counted, on_one_line
from keepmap.kv.tasks import FULL, KEPT, SummaryRow, TaskPlan, TaskRun, tasks
from keepmap.printing.tables import Column, panels, terminal_width

__all__ = ["critical_lines", "gate_lines", "header", "task_tables", "tasks_table", "verdict_lines"]

WIDTH = 80


def tasks_table() -> list[str]:
    """Every task with its scoring, and what is asked."""
    lines = []
    for name, task in tasks().items():
        claim = inspect.cleandoc(task.__doc__ or "").partition("\n")[0]
        lines += textwrap.wrap(f"{name:16} {claim}", WIDTH, subsequent_indent=" " * 17)
    return lines


def header(model: str, plan: TaskPlan, left_out: Sequence[str]) -> list[str]:
    """What is going to be asked."""
    methods = dict.fromkeys(each.key for each in plan.methods[plan.densities[0]])
    lengths = ", ".join(map(str, plan.lengths))
    chat = ", chat template" if plan.chat_template else ""
    text = [
        f"Model: {on_one_line(model)}",
        f"Tasks: {', '.join(task.name for task in plan.tasks)}; {counted(plan.n_samples, 'sample')} of each, at most "
        f"{lengths} tokens; haystack: {plan.haystack.name}",
        f"Methods: {', '.join(methods)}, at {', '.join(f'{density:g}' for density in plan.densities)} of what left the "
        "window",
        f"Protocol: mode {plan.mode.name}, question {plan.place} the context, answers "
        f"{'generated' if plan.generates else 'teacher-forced'}{chat}, seed {plan.seed}",
        *(f"Left out: {on_one_line(words)}" for words in left_out),
    ]
    return [line for sentence in text for line in textwrap.wrap(sentence, WIDTH, subsequent_indent="  ")]


def gate_lines(run: TaskRun, gate: float) -> list[str]:
    """What the full cache answers of each task, and which of them count."""
    lines = []
    for task, passed in run.gates.items():
        if passed.score is not None:
            counts = "" if passed.passes else f": not informative for this model (gate {gate:.0%}), and in no table"
            lines.append(f"Gate: the full cache answers {passed.score:.0%} of {task}{counts}")
    return [line for words in lines for line in textwrap.wrap(words, WIDTH, subsequent_indent="  ")]


def task_tables(run: TaskRun) -> list[str]:
    """A table for each task: a line for each method and density."""
    lines: list[str] = []
    for task in run.tasks:
        rows = [row for row in run.summary if row.task == task]
        first = Column(task, tuple(_name(row) for row in rows))
        shown = [Column(title, tuple(cell(row) for row in rows)) for title, cell in CELLS]
        used = [column for column in shown if any(cell != "-" for cell in column.cells)]
        lines += ["", *panels(first, used, terminal_width())]
    if any(row.kept is not None for row in run.summary):
        lines += [
            "",
            f"kept/right: of the evidence's entries {KEPT:.0%} or more were held, and all of the answer was there",
        ]
    return lines


def verdict_lines(run: TaskRun) -> list[str]:
    """Who beats whom in the likelihood of the right answer, per task and density."""
    lines: list[str] = []
    if len(run.methods) < 2:
        return lines
    for task in run.tasks:
        for density in run.densities:
            lines += ["", f"{task}, density {density:g}, NLL of the right answer:"]
            for words in run.verdicts(task, density).lines:
                lines += textwrap.wrap(words, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines


def critical_lines(run: TaskRun) -> list[str]:
    """The memory from which on each method keeps nine tenths of the full score."""
    lines: list[str] = []
    for task in run.tasks:
        lines += ["", f"{task}: entries held from which on 90 % of the full score is kept"]
        for key, label in run.methods.items():
            try:
                critical = run.critical(task, key)
            except InputError as error:
                lines += textwrap.wrap(f"{label}: {error}", WIDTH, initial_indent="  ", subsequent_indent="    ")
                continue
            ends = "" if critical.low is None else f" [{critical.low:.0%} .. {critical.high:.0%}]"
            lines.append(f"  {label}: {'at most ' * critical.at_most}{critical.footprint:.0%}{ends}")
    return lines


def _name(row: SummaryRow) -> str:
    return row.label if row.method == FULL else f"{row.label} {row.density:g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _counts(row: SummaryRow) -> str:
    if row.kept_right is None:
        return "-"
    return f"{row.kept_right}/{row.kept_wrong}/{row.lost_right}/{row.lost_wrong}"


CELLS: list[tuple[str, Callable[[SummaryRow], str]]] = [
    ("NLL", lambda row: f"{row.nll:.3f}"),
    ("score", lambda row: _share(row.score)),
    ("exact", lambda row: _share(row.exact)),
    ("held", lambda row: _share(row.held)),
    ("footprint", lambda row: _share(row.footprint)),
    ("kept", lambda row: _share(row.kept)),
    ("looked at", lambda row: _share(row.mass)),
    ("kept right/wrong, lost right/wrong", _counts),
]
