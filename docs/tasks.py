"""Write docs/tasks.md and its two figures from a finished run: what methods still answer, and what they kept.

python docs/tasks.py FOLDER    an output folder of `keepmap sweep`; `make tasks` makes one
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import keepmap
from keepmap.drawing import save_figure
from keepmap.errors import InputError
from keepmap.kv.tasks import FULL, KEPT, AnswerRow, SummaryRow, TaskRun, read_tasks
from pieces import table_of

DOCS = Path(__file__).resolve().parent


def page(run: TaskRun) -> str:
    """The Markdown of docs/tasks.md."""
    card = run.card
    n = max(task["samples"] for task in card["tasks"])
    lengths = ", ".join(map(str, card["lengths"]))
    parts = [
        "<!-- Written by docs/tasks.py from a run of `make tasks`: change that. -->",
        "# What methods still answer",
        f"{card['model']}, {n} samples of each task at most {lengths} tokens long (in turn), mode `{card['mode']}`, "
        f"{len(run.methods)} methods at {len(run.densities)} densities, the same protection for all. What the words "
        "mean stands in [Questions with known answers](answers.md); the samples are those of [the tasks]"
        f"(tasks/README.md). This page and its figures are written by `make tasks SAMPLES={n} "
        f'TASKS="{" ".join(run.gates)}"`, which goes on where it was stopped; without these words it asks 30 samples '
        "of nine tasks.",
        "## Three findings",
        "\n".join(f"{number}. {finding}" for number, finding in enumerate(findings(run), start=1)),
        "![Scores against the entries that are held](images/answers_by_memory.png)",
        "![Evidence that each layer and head holds, for right answers and wrong ones](images/evidence_kept.png)",
        "## The gate",
        f"A task counts where the full cache answers {card['gate']:.0%} or more of {n} samples.",
        table_of(
            ("task", "full cache", "counts"),
            [
                (f"`{task}`", f"{gate.score:.0%}", "yes" if gate.passes else "not informative for this model")
                for task, gate in run.gates.items()
                if gate.score is not None
            ],
        ),
        *(part for task in run.tasks for part in task_part(run, task)),
        "## Protocol",
        "Everything that decides a number; `command` repeats it.",
        f"```json\n{json.dumps(dict(card), indent=1, ensure_ascii=False)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def findings(run: TaskRun) -> list[str]:
    """Three things that the run says, in words."""
    return [memory_found(run), best_found(run), evidence_found(run)]


def memory_found(run: TaskRun) -> str:
    """From which memory on nine tenths of the full score is kept."""
    words = []
    for task in run.tasks:
        sizes = {label: run.critical(task, key) for key, label in run.methods.items()}
        label, least = min(sizes.items(), key=lambda each: each[1].footprint)
        words.append(f"{least.footprint:.0%} on `{task}` ({label}{_ends(least.low, least.high)})")
    return (
        f"The least share of the entries with which a method keeps 90 % of the full cache's score: {'; '.join(words)}."
    )


def best_found(run: TaskRun) -> str:
    """Who has the likeliest right answers, and whom it beats."""
    words = []
    for density in run.densities:
        parts = []
        for task in run.tasks:
            verdicts = run.verdicts(task, density)
            best = verdicts.methods[0]
            beaten, n = len(verdicts.beaten_by(best)), len(verdicts.methods) - 1
            parts.append(f"{run.methods[best]} on `{task}` (surely better than {beaten} of {n})")
        words.append(f"at {density:g}, {', '.join(parts)}")
    return f"The right answer is likeliest, by its NLL, {'; '.join(words)}."


def evidence_found(run: TaskRun) -> str:
    """What is answered where the evidence was kept, and where it was lost."""
    rows = [row for row in run.answers if row.method != FULL and row.task in run.tasks and row.kept is not None]
    shares = np.array([row.kept for row in rows], dtype=np.float64)
    kept, lost = ([rows[at] for at in np.flatnonzero((shares >= KEPT) == is_kept)] for is_kept in (True, False))
    together = float(np.corrcoef(shares, [row.nll for row in rows])[0, 1])
    gone = [row for row in rows if row.ger == 0 and row.score == 0]
    return (
        f"Where {KEPT:.0%} or more of the evidence's entries were held, {_right(kept)} were right; where fewer were, "
        f"{_right(lost)}. The share held and the answer's NLL correlate at {together:+.2f}. Yet {len(gone):,} of "
        f"{sum(row.score == 0 for row in rows):,} answers without any of the right one were given while each token of "
        "the evidence was still held in some head."
    )


def task_part(run: TaskRun, task: str) -> list[str]:
    """A task's table, verdicts and critical footprints."""
    rows = [row for row in run.summary if row.task == task]
    head = (
        "method",
        "density",
        "score",
        "NLL of the answer",
        "held",
        "kept",
        "kept right/wrong",
        "lost right/wrong",
    )
    verdicts = [f"- at {density:g}: {'. '.join(run.verdicts(task, density).lines)}." for density in run.densities]
    return [
        f"## `{task}`",
        f"{rows[0].n} questions about {rows[0].n_contexts} contexts. Intervals are of 95 %, over contexts.",
        table_of(head, [_cells(row) for row in rows]),
        "[All columns](tasks.csv), exact answers and GER among them.",
        "By NLL of the right answer, paired by question:",
        "\n".join(verdicts),
        "Entries held from which on 90 % of the full score is kept:",
        table_of(
            ("method", "share of all entries"),
            [(label, _critical(run, task, key)) for key, label in run.methods.items()],
        ),
    ]


def _cells(row: SummaryRow) -> tuple[str, ...]:
    return (
        row.label,
        "" if row.method == FULL else f"{row.density:g}",
        f"{row.score:.0%}{_ends(row.score_low, row.score_high)}",
        f"{row.nll:.3f}" + ("" if row.nll_low is None else f" [{row.nll_low:.3f}, {row.nll_high:.3f}]"),
        f"{row.held:.0%}",
        "" if row.kept is None else f"{row.kept:.0%}",
        "" if row.kept_right is None else f"{row.kept_right}/{row.kept_wrong}",
        "" if row.lost_right is None else f"{row.lost_right}/{row.lost_wrong}",
    )


def _critical(run: TaskRun, task: str, key: str) -> str:
    try:
        critical = run.critical(task, key)
    except InputError as error:
        return str(error)
    return f"{'at most ' * critical.at_most}{critical.footprint:.0%}{_ends(critical.low, critical.high)}"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.0%}, {high:.0%}]"


def _right(rows: Sequence[AnswerRow]) -> str:
    n = sum(row.score == 1.0 for row in rows)
    return f"{n:,} of {len(rows):,} answers ({n / max(1, len(rows)):.0%})"


def main(folder: str) -> None:
    """Write the page, its table of all columns and the figures."""
    run = read_tasks(folder)
    images = DOCS / "images"
    save_figure(keepmap.draw.answers_by_memory(run), images, "answers_by_memory", ["png"])
    save_figure(keepmap.draw.evidence_kept(run), images, "evidence_kept", ["png"])
    run.to_csv(DOCS / "tasks.csv", overwrite=True)
    (DOCS / "tasks.md").write_text(page(run), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
