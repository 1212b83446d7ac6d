"""A study of a family on the page: what shortened histories cost agents that find out their task while they live.

Its class loads agents, and is known by name here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keepmap.drawing.page.values.shown import Shown, table_of, that_needs
from keepmap.errors import counted

__all__ = ["points_of", "shown_family"]

LEAST = 3
"""Tasks that an interval needs."""
MOST_POINTS = 200
"""Of a curve; more episodes than that are means of several."""
COSTS = {"kept": "transitions", "bytes": "bytes", "flops": "operations", "milliseconds": "milliseconds"}


def shown_family(study: Any, folder: str | None) -> Shown:
    """What the page shows of it: who beats whom, how few transitions are enough, the front, and lives by episode."""
    base, world = study.results[0], str(study.options.get("world", "a family"))
    lives = "1 life" if study.copies == 1 else f"{study.copies:,} lives"
    return Shown(
        caption=(
            f"{world}: {counted(study.tasks, 'task')} that no training saw, {lives} of "
            f"{counted(study.agents, 'agent')} in each; {study.caption.lower()}"
        ),
        verdict=_verdict(study),
        warnings=[f"No intervals: {counted(study.tasks, 'task')}, and they need {LEAST}."] * (study.tasks < LEAST),
        python=(*that_needs("study", "read_family_study", folder, "`keepmap study`"), "study.rows"),
        settings={**study.options, "versions": study.versions},
        table=_table(study),
        more=[table for table in (_verdicts(study), _critical(study)) if table["rows"]],
        parts={
            "agent": {
                "front": [
                    {
                        "compressor": row.compressor,
                        "words": f"{row.label}: normalised return {_between(row)}, {row.kept:.1f} transitions kept",
                        "on_front": "kept" in row.fronts.split(),
                        "ratio": row.ratio,
                        "mean": row.normalised,
                        "low": row.normalised_low,
                        "high": row.normalised_high,
                    }
                    for row in study.results[1:]
                ],
                "level": base.normalised,
                "return": "normalised return",
                "about": (
                    "What agents earn at the end of their lives, 0 as a random and 1 as the best agent, against how "
                    "much of the history they keep. The dashed line is the whole history's; rings mark what no other "
                    "choice beats for as few transitions."
                ),
                "lives": [
                    {"compressor": row.compressor, "percent": row.percent, "points": points_of(curve)}
                    for row, curve in zip(study.results, study.curves, strict=True)
                ],
            }
        },
    )


def _verdict(study: Any) -> str:
    base = study.results[0]
    shortest = max(study.verdicts, default=None)
    least = [row for row in study.results if row.percent == shortest]
    lines = [f"With the whole history the normalised return is {_between(base)}."]
    if least:
        best = max(least, key=lambda row: row.normalised)
        lines.append(
            f"{best.percent:g} % shorter, {best.compressor} earns most: {_between(best)}; "
            f"{study.verdicts[shortest][0]}."
        )
    return " ".join(lines)


def _between(row: Any) -> str:
    ends = "" if row.normalised_low is None else f" [{row.normalised_low:.2f}, {row.normalised_high:.2f}]"
    return f"{row.normalised:.2f}{ends}"


def _table(study: Any) -> dict[str, Any]:
    columns = [
        ("compressor", "", "words"),
        ("shorter", "by so many per cent of the window", "whole"),
        ("normalised", "return at the end of a life: 0 as a random, 1 as the best agent", "hundredths"),
        ("95 % interval", "over tasks", "between"),
        ("IQM", "the interquartile mean of tasks, lives and agents", "hundredths"),
        ("90 % from", "the first episode whose mean normalised return is 0.9", "whole"),
        ("regret", "how much less than the best agent was earned in a life", "hundredths"),
        ("kept", "transitions kept, of those there were", "share"),
        ("on the front of", "no other choice earns as much for fewer of them", "words"),
    ]
    if study.times:
        columns.insert(-1, ("ms", "milliseconds of an action, measured after all lives", "number"))
    rows = [
        [
            *(row.compressor, row.percent, row.normalised, [row.normalised_low, row.normalised_high], row.middle),
            *(row.reached, row.regret, row.ratio),
            *([1e3 * study.times[row.label] if row.label in study.times else None] * bool(study.times)),
            ", ".join(COSTS[cost] for cost in fronts),
        ]
        for row, fronts in zip(study.results, study.fronts, strict=True)
    ]
    return table_of(study.caption, columns, rows)


def _verdicts(study: Any) -> dict[str, Any]:
    columns = [("shorter", "by so many per cent of the window", "whole"), ("finding", "paired by task", "words")]
    return table_of(
        "Who beats whom, by the normalised return",
        columns,
        [[percent, words.strip()] for percent, lines in study.verdicts.items() for words in lines],
    )


def _critical(study: Any) -> dict[str, Any]:
    columns = [
        ("compressor", "", "words"),
        ("of the whole history's return", "", "share"),
        ("kept from which on", "share of the transitions", "share"),
        ("95 % interval", "of a bootstrap over tasks", "shares"),
        ("at most", "the smallest that was measured keeps it", "words"),
    ]
    rows = [
        [
            *(line["compressor"], line["share"], line["footprint"], [line["low"], line["high"]]),
            "yes" if line["at_most"] else "",
        ]
        for line in study.critical
    ]
    return table_of("How short the history may be", columns, rows)


def points_of(curve: Sequence[float | None]) -> list[list[float | None]]:
    """Of each bin of episodes the middle, counted from 1, and the mean of what is known there."""
    values = np.array([np.nan if value is None else value for value in curve])
    bins = np.array_split(values, min(MOST_POINTS, len(curve)))
    points, start = list[list[float | None]](), 1
    for part in bins:
        known = part[~np.isnan(part)]
        points.append([start + (len(part) - 1) / 2, float(known.mean()) if len(known) else None])
        start += len(part)
    return points
