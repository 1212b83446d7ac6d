"""What came of a run of tasks: every answer, what each method keeps of the full cache's score, and who beats whom."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keepmap.core.arguments import shown
from keepmap.core.labels import model_label
from keepmap.core.outside.reporting import ReportedTable, write_page
from keepmap.core.result_table import ResultTable
from keepmap.core.statistics.footprint import CriticalFootprint, critical_footprint
from keepmap.core.statistics.verdicts import Verdicts, paired_verdicts
from keepmap.errors import InputError, counted, did_you_mean, escaped
from keepmap.kv.tasks.results.rows import FULL, AnswerRow
from keepmap.kv.tasks.results.summary import SummaryRow, summarised

__all__ = ["MARGINS", "MEASURES", "AnswerTable", "Gate", "TaskRun"]

MEASURES = ("nll", "score", "exact")
MARGINS = {"nll": 0.1, "score": 0.1, "exact": 0.1}
"""Within which methods are called equal, unless another margin is given: nats per token of the answer, or a share."""
SIZES = ("held", "footprint", "peak_nbytes", "nbytes")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """How much of a task the full cache answers, and whether that is enough; None of texts, which ask nothing."""

    score: float | None
    passes: bool


@dataclass(frozen=True, kw_only=True, repr=False)
class AnswerTable(ResultTable):
    """Answers as a table, a row each."""

    answers: tuple[AnswerRow, ...]

    @property
    def rows(self) -> list[dict[str, object]]:
        """All fields that are a value each; what was kept by layer and head is in `answers`."""
        return [answer.plain for answer in self.answers]

    @property
    def columns(self) -> tuple[str, ...]:
        """What was said, and how likely the right answer was."""
        return ("task", "sample", "question", "method", "density", "answer", "target", "score", "nll", "kept")

    @property
    def caption(self) -> str:
        """How many."""
        return counted(len(self.answers), "answer")

    def __repr__(self) -> str:
        return f"AnswerTable({self.caption})"


@dataclass(frozen=True, kw_only=True, repr=False)
class TaskRun(ReportedTable):
    """Answers of every method at every density, and what follows from them; `rows` has a row per task, method, density.

    Attributes:
        answers: each of them, the full cache's among them, of tasks that do not pass the gate, too.
        gates: task -> what the full cache answers of it. Tasks that do not pass are in no row and no verdict.
        card: the protocol: everything that decides a number, as JSON values.

    >>> import keepmap
    >>> run = keepmap.run_tasks("tiny", "facts", "streaming_llm", density=0.2, n_samples=2, length=150)
    >>> run.tasks, [(row["method"], row["score"]) for row in run.rows]
    (('facts',), [('full', 1.0), ('streaming_llm', 0.375)])
    """

    answers: tuple[AnswerRow, ...]
    gates: Mapping[str, Gate]
    card: Mapping[str, Any]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those that pass the gate."""
        return tuple(name for name, gate in self.gates.items() if gate.passes)

    @property
    def not_informative(self) -> tuple[str, ...]:
        """Those that the full cache cannot answer."""
        return tuple(name for name, gate in self.gates.items() if not gate.passes)

    @property
    def methods(self) -> dict[str, str]:
        """Key -> label, without the full cache."""
        return {row.method: row.label for row in self.answers if row.method != FULL}

    @property
    def densities(self) -> tuple[float, ...]:
        """From the smallest."""
        return tuple(sorted({row.density for row in self.answers if row.method != FULL}))

    @cached_property
    def summary(self) -> tuple[SummaryRow, ...]:
        """A row per task, method and density, of tasks that pass the gate; the full cache first."""
        return tuple(
            summarised(answers)
            for task in self.tasks
            for method, density in [
                (FULL, 1.0),
                *((key, density) for density in self.densities for key in self.methods),
            ]
            if (answers := self.of(task, method, density))
        )

    def of(self, task: str, method: str, density: float | None = None) -> tuple[AnswerRow, ...]:
        """The answers of a method to a task, in the order of samples and questions.

        Args:
            density: None for those at every density.
        """
        return (
            self._index.get((task, method), {}).get(density, ())
            if density is not None
            else tuple(row for rows in self._index.get((task, method), {}).values() for row in rows)
        )

    @cached_property
    def _index(self) -> dict[tuple[str, str], dict[float, tuple[AnswerRow, ...]]]:
        index: dict[tuple[str, str], dict[float, tuple[AnswerRow, ...]]] = {}
        for row in sorted(self.answers, key=lambda row: (row.sample, row.question)):
            of_density = index.setdefault((row.task, row.method), {})
            of_density[row.density] = (*of_density.get(row.density, ()), row)
        return index

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per task, method and density."""
        return [row.plain for row in self.summary]

    @property
    def columns(self) -> tuple[str, ...]:
        """What was answered, how likely the right answer was, what was held and kept."""
        return ("task", "label", "density", "score", "exact", "nll", "held", "footprint", "kept", "n")

    @property
    def header(self) -> tuple[str, ...]:
        """The fields of a row."""
        return tuple(SummaryRow.__dataclass_fields__)

    @property
    def caption(self) -> str:
        """The model, and how much was asked."""
        n = len({(row.task, row.sample, row.question) for row in self.answers if row.task in self.tasks})
        return escaped(f"{model_label(self.card.get('model'))}: {counted(n, 'question')} of {', '.join(self.tasks)}")

    @property
    def table(self) -> AnswerTable:
        """Every answer as a row, for pandas and CSV."""
        return AnswerTable(answers=self.answers)

    def verdicts(
        self,
        task: str,
        density: float | None = None,
        *,
        measure: str = "nll",
        margin: float | None = None,
    ) -> Verdicts:
        """Which methods are better on a task at a density: paired per question, a context is a cluster.

        >>> import keepmap
        >>> run = keepmap.run_tasks("tiny", "facts", "streaming_llm, h2o", density=0.2, n_samples=3, length=150)
        >>> run.verdicts("facts", measure="score").pairs[0].n_clusters
        3

        Args:
            density: one of the run's; not needed where there is one alone.
            measure: of the right answer's likelihood, RULER's score, or exact answers.
            margin: a difference that does not count; by default as `MARGINS` says.

        Raises:
            InputError: no such task, density or measure, or fewer than two methods.
        """
        _check("measure", measure, MEASURES)
        density = self._density(density)
        scores = {key: self._values(task, key, density, measure) for key in self.methods}
        scores = {key: values for key, values in scores.items() if values}
        if len(scores) < 2:
            raise InputError(
                f"verdicts need two methods or more with a {measure} of {task} at a density of {density:g}"
            )
        return paired_verdicts(
            scores,
            better="lower" if measure == "nll" else "higher",
            margin=MARGINS[measure] if margin is None else margin,
            clusters=[row.sample for row in self.of(task, next(iter(scores)), density)],
            unit="nats per token" if measure == "nll" else "",
        )

    def critical(
        self, task: str, method: str, *, share: float = 0.9, by: str = "held", seed: int = 0
    ) -> CriticalFootprint:
        """The smallest memory from which on a method keeps a share of the full cache's score.

        Of texts, which have no score, the likelihood of a token (the exponential of -NLL) takes its place.

        Args:
            by: what memory is: "held" when the answer begins, or "footprint", its mean over the steps until then; both
                are shares of the full cache's.
            seed: of the bootstrap.

        Raises:
            InputError: no such task or method, or a memory that several densities have in common.
        """
        _check("by", by, SIZES[:2])
        full = self._scores(self.of(self._task(task), FULL, 1.0))
        columns = {}
        for density in self.densities:
            answers = self.of(task, method, density)
            size = float(np.mean([getattr(row, by) for row in answers])) if answers else 1.0
            if size < 1:
                columns[size] = self._scores(answers)
        if not columns:
            raise InputError(f"expected `method` to be one of {', '.join(self.methods)}, got {shown(method)}")
        return critical_footprint(
            list(columns),
            np.column_stack(list(columns.values())),
            full,
            share=share,
            clusters=[row.sample for row in self.of(task, FULL, 1.0)],
            seed=seed,
        )

    def front(self, task: str, *, by: str = "held", measure: str = "score") -> tuple[SummaryRow, ...]:
        """The rows of a task that none other is better than at as little memory, from the smallest.

        Args:
            by: "held", "footprint", "peak_nbytes" or "nbytes".

        Raises:
            InputError: no such task or memory.
        """
        _check("by", by, SIZES)
        _check("measure", measure, MEASURES)
        rows = [row for row in self.summary if row.task == self._task(task) and getattr(row, measure) is not None]
        sign = -1.0 if measure == "nll" else 1.0
        rows.sort(key=lambda row: (getattr(row, by), -sign * getattr(row, measure)))
        front: list[SummaryRow] = []
        for row in rows:
            if not front or sign * getattr(row, measure) > sign * getattr(front[-1], measure):
                front.append(row)
        return tuple(front)

    def _values(self, task: str, method: str, density: float, measure: str) -> list[float]:
        values = [getattr(row, measure) for row in self.of(self._task(task), method, density)]
        return [] if None in values else [float(value) for value in values]

    def _scores(self, answers: Iterable[AnswerRow]) -> list[float]:
        return [float(np.exp(-row.nll)) if row.score is None else row.score for row in answers]

    def _task(self, task: str) -> str:
        if task not in self.tasks:
            raise InputError(f"expected `task` to be one of {', '.join(self.tasks)}, got {shown(task)}")
        return task

    def _density(self, density: float | None) -> float:
        known: Sequence[float] = self.densities
        if density is None and len(known) == 1:
            return known[0]
        if density is None or density not in known:
            raise InputError(
                f"expected `density` to be one of {', '.join(f'{each:g}' for each in known)}, got {shown(density)}"
            )
        return density

    def report(self, path: str | Path, *, redact_text: bool = False, overwrite: bool = False) -> Path:
        """Write one HTML file that shows it all offline: docs/report.md says what. Another report there is replaced.

        >>> import keepmap, tempfile
        >>> run = keepmap.run_tasks("tiny", "facts", "streaming_llm", density=0.2, n_samples=1, length=150)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run.report(f"{folder}/report.html").read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'

        Args:
            redact_text: whether of the answers only the length is told.
            overwrite: whether a file that is no report is written over, too.

        Returns:
            The path.

        Raises:
            OutputError: the path cannot be written, or a file that is no report is there.
        """
        return write_page(self, path, redact_text=redact_text, overwrite=overwrite)

    def __repr__(self) -> str:
        left_out = f"; not informative: {', '.join(self.not_informative)}" if self.not_informative else ""
        return escaped(f"TaskRun({self.caption}, {counted(len(self.methods), 'method')}{left_out})")


def _check(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"unknown `{name}` {shown(value)}, {did_you_mean(str(value), known)}")
