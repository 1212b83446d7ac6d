"""A run of tasks on the page: answers against memory, what was kept of the evidence, each answer, the protocol card.

Its class loads models, and is known by name here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keepmap.core.files import plain
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.values.shown import Shown, added_floats, redacted, table_of, that_needs
from keepmap.errors import InputError, counted

__all__ = ["shown_tasks"]

FULL = "full"
"""The key of the full cache among methods."""
LEAST = 3
"""Contexts that an interval needs."""
MOST = 10_000
"""Answers that are on the page, each with its words."""


def shown_tasks(run: Any, arrays: Arrays, folder: str | None, redact_text: bool) -> Shown:
    """What the page shows of a run of tasks; redacted, of its answers only how long they are."""
    answers = _first([row for row in run.answers if row.task in run.tasks])
    return Shown(
        caption=run.caption,
        verdict=_verdict(run),
        warnings=_warnings(run, len(answers)),
        model=str(run.card.get("model", "")),
        python=(
            *that_needs("run", "read_tasks", folder, "`keepmap tasks`"),
            "run.rows  # a row for each task, method and density",
            "run.answers  # each answer, and what was kept of its evidence",
        ),
        settings=_settings(run.card),
        table=_table(run),
        more=[table for table in (_critical(run), _verdicts(run)) if table["rows"]],
        parts={
            "answers": {
                "tasks": list(run.tasks),
                "methods": [[key, label] for key, label in run.methods.items()],
                "densities": list(run.densities),
                "summary": plain([row.plain for row in run.summary]),
                "rows": [_answer(row, redact_text) for row in answers],
                "heads": _heads(run, arrays),
                "redacted": redact_text,
            }
        },
    )


def _verdict(run: Any) -> str:
    """What the best method answers of each task at the smallest density; or whose likelihood is nearest."""
    if not run.densities:
        return "The full cache alone was asked."
    density, parts = run.densities[0], []
    for task in run.tasks:
        rows = [row for row in run.summary if row.task == task and row.density == density and row.method != FULL]
        full = next(row for row in run.summary if row.task == task and row.method == FULL)
        if not rows:
            continue
        best = min(rows, key=lambda row: (-(row.score or 0.0), row.nll))
        if best.score:
            ends = "" if best.score_low is None else f" [{best.score_low:.0%}, {best.score_high:.0%}]"
            parts.append(
                f"{best.label} answers {best.score:.0%}{ends} of {task}, and the full cache {full.score:.0%} "
                f"(n = {best.n}{_rivals(run, best, rows)})"
            )
        else:
            nothing = "" if full.score is None else " no method answers anything, and"
            parts.append(
                f"in {task}{nothing} {best.label} is nearest, with {best.nll:.2f} nats per token for {full.nll:.2f}"
            )
    return f"At density {density:g} {'; '.join(parts)}."


def _rivals(run: Any, best: Any, rows: Sequence[Any]) -> str:
    """How many others have a score that is not surely lower than the best one's."""
    others = [row.method for row in rows if row is not best and row.score is not None]
    if not others:
        return ""
    verdicts = run.verdicts(best.task, best.density, measure="score")
    near = sum(verdicts.of(best.method, other).outcome != "beats" for other in others)
    return f"; not surely better than {near} of {counted(len(others), 'other')}" if near else ""


def _warnings(run: Any, n_shown: int) -> list[str]:
    warnings = [
        f"Not informative for this model, and in no table: {task}, of which the full cache answers "
        f"{run.gates[task].score:.0%}."
        for task in run.not_informative
    ]
    contexts = min((row.n_contexts for row in run.summary), default=0)
    if contexts < LEAST:
        warnings.append(f"No intervals: {counted(contexts, 'context')}, and they need {LEAST}.")
    if any(row.answer is None and row.score is not None for row in run.answers):
        warnings.append("Nothing was generated: scores are the least that they can be.")
    warnings += [f"Left out: {reason}" for reason in run.card.get("left_out") or ()]
    n_all = sum(row.task in run.tasks for row in run.answers)
    if n_shown < n_all:
        warnings.append(f"Of {n_all:,} answers, the {n_shown:,} of the first samples are shown one by one.")
    return warnings


def _first(answers: Sequence[Any]) -> list[Any]:
    """Those of the first samples, so many that they find room; all where they do."""
    if len(answers) <= MOST:
        return list(answers)
    samples = sorted({row.sample for row in answers})
    each = -(-len(answers) // len(samples))
    shown = set(samples[: max(1, MOST // each)])
    return [row for row in answers if row.sample in shown]


def _settings(card: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol card, a line for each thing that decides a number."""
    settings = {name: value for name, value in card.items() if name not in ("tasks", "methods", "command", "versions")}
    for task in card.get("tasks") or ():
        settings[f"task {task.get('name')}"] = _words({name: value for name, value in task.items() if name != "name"})
    for method in card.get("methods") or ():
        protected = {name: value for name, value in method.items() if name != "name"}
        settings[f"method {method.get('name')}"] = _words(protected)
    return settings | {"versions": _words(card.get("versions") or {})}


def _words(values: Mapping[str, Any]) -> str:
    shown = {name: _words(value) if isinstance(value, Mapping) else str(value) for name, value in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items() if value)


def _table(run: Any) -> dict[str, Any]:
    columns = [
        ("task", "", "words"),
        ("method", "", "words"),
        ("density", "what was asked for, of the compressible positions", "hundredths"),
        ("score", "RULER's: the share of the right answers that are in what was said", "share"),
        ("95 % interval", "of the score, over contexts", "shares"),
        ("exact", "what was said begins with the right answer", "share"),
        ("NLL", "of the right answer, nats per token", "number"),
        ("held", "cache entries when the answer begins, of the full cache's", "share"),
        ("footprint", "the same, on average until then", "share"),
        ("evidence kept", "cache entries of the evidence that are held when the answer begins", "share"),
        ("looked at", "attention of the last token before the answer to what is held of the evidence", "share"),
        ("n", "questions", "whole"),
    ]
    rows = [
        [
            *(row.task, row.label, row.density, row.score, [row.score_low, row.score_high], row.exact, row.nll),
            *(row.held, row.footprint, row.kept, row.mass, row.n),
        ]
        for row in run.summary
    ]
    return table_of("Answers, means over questions", columns, rows)


def _critical(run: Any) -> dict[str, Any]:
    """From which memory on each method keeps most of the full cache's score, where several densities were asked."""
    columns = [
        ("task", "", "words"),
        ("method", "", "words"),
        ("entries held", "from which on 90 % of the full cache's score is kept", "share"),
        ("95 % interval", "of a bootstrap over contexts", "shares"),
        ("at most", "the smallest that was measured keeps it", "words"),
    ]
    rows = []
    for task in run.tasks if len(run.densities) > 1 else ():
        for key, label in run.methods.items():
            try:
                critical = run.critical(task, key)
            except InputError:  # densities that hold the same, or a score of nothing
                continue
            is_most = "yes" if critical.at_most else ""
            rows.append([task, label, critical.footprint, [critical.low, critical.high], is_most])
    return table_of("How small the cache may be: 90 % of the full score", columns, rows)


def _verdicts(run: Any) -> dict[str, Any]:
    """Who beats whom, in sentences, for each task and density."""
    rows = [
        [task, density, words]
        for task in (run.tasks if len(run.methods) > 1 else ())
        for density in run.densities
        for words in run.verdicts(task, density).lines
    ]
    columns = [("task", "", "words"), ("density", "", "hundredths"), ("finding", "paired by question", "words")]
    return table_of("Who beats whom, by the NLL of the right answer", columns, rows)


def _answer(row: Any, redact_text: bool) -> list[Any]:
    """Where it belongs, what was said and right, its numbers, and the query after which no evidence was left."""
    texts = [None if text is None else redacted(text) if redact_text else text for text in (row.answer, row.target)]
    died = None if not row.deaths or None in row.deaths else max(row.deaths) - 1
    place = [row.task, row.sample, row.question, row.method, row.density]
    values: list[Any] = plain([row.score, row.nll, row.kept, row.mass, died])
    return [*place, *texts, *values]


def _heads(run: Any, arrays: Arrays) -> dict[str, Any] | None:
    """The share of the evidence that each layer and KV head holds, where the answer is right and where it is not."""
    places, values = list[list[Any]](), list[np.ndarray]()
    for task in run.tasks:
        for method in run.methods:
            for density in run.densities:
                rows = [row for row in run.of(task, method, density) if row.by_head is not None]
                for is_right in (True, False):
                    of = [row.by_head for row in rows if (row.score == 1.0) is is_right]
                    if of and rows[0].score is not None:
                        places.append([task, method, density, is_right, len(of)])
                        values.append(_mean(of))
    if not values or len({value.shape for value in values}) > 1:
        return None
    return {"places": places, "shape": list(values[0].shape), "of": added_floats(np.stack(values), arrays)}


def _mean(by_head: Iterable[Sequence[Sequence[float]]]) -> np.ndarray:
    return np.mean([np.asarray(heads, np.float64) for heads in by_head], axis=0)
