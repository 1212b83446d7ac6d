"""What the guide to compression promises of memory, compute and return, against what a study has measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keepmap.agents.study.results import BASELINE, StudyRow, StudyRun

__all__ = ["matched", "near_budget", "pattern_of", "promises_of"]

NEAR = 0.05  # below a share that was promised with "about"
OFF_BUDGET = 0.10  # between the share that is kept and the one that the budget names
SMALL_LOSS, LARGE_LOSS = 0.05, 0.10
PROMISED = {50.0: (0.50, 0.75), 80.0: (0.80, 0.96)}
"""Per cent shorter -> the shares of memory and of compute that are promised to be saved."""
UNIFORM_ABOVE, SPARSE_BELOW, RECENT_ABOVE = 2.0, 1.5, 2.0


def matched(nats: float, recent_distant: float) -> str:
    """The compressor that the guide chooses for an attention pattern: its entropy, and its recent/distant ratio."""
    if recent_distant > RECENT_ABOVE:
        return "recency"
    if nats > UNIFORM_ABOVE:
        return "uniform"
    return "attention" if nats < SPARSE_BELOW else "adaptive"


def pattern_of(runs: Sequence[StudyRun]) -> dict[str, Any]:
    """The attention of the untrained-on baselines over whole histories, and the compressor that is matched to it."""
    baselines = [run for run in runs if run.compressor == BASELINE and not run.trained]
    nats = float(np.mean([run.nats for run in baselines]))
    ratio = float(np.mean([run.recent_distant for run in baselines]))
    return {"nats": nats, "recent_distant": ratio, "matched": matched(nats, ratio)}


def near_budget(row: StudyRow) -> bool:
    """Whether a row keeps about the share that its budget names: a threshold may keep far less."""
    return abs(row.ratio - (1 - row.percent / 100)) <= OFF_BUDGET


def promises_of(
    rows: Sequence[StudyRow], pattern: Mapping[str, Any], looking: Sequence[str]
) -> tuple[dict[str, Any], ...]:
    """A line for each promise that the rows can tell about: `promised`, `of`, `measured`, `holds`.

    Of rows that were trained and are near their budget. Memory and compute are said apart for compressors that look at
    the whole window first, and compute where nobody has a key/value cache and where the baseline and the look have one.
    Shares were promised as "about": they hold from 0.05 below; saving more breaks no promise. A loss is below or above
    a bound where its whole 95 % interval is. What is measured is the least and the most over compressors.

    Args:
        looking: compressors that need attention.

    Returns:
        `holds` is None where intervals do not tell.
    """
    trained = [row for row in rows if row.trained and row.compressor != BASELINE and near_budget(row)]
    lines: list[dict[str, Any]] = []
    for percent, (memory, compute) in PROMISED.items():
        here = [row for row in trained if row.percent == percent]
        for what, share, of, how in (
            ("memory", memory, lambda row: row.saved_bytes, ""),
            ("compute", compute, lambda row: row.saved_flops, ", window re-run"),
            ("compute", compute, lambda row: row.saved_cached_flops, ", cached"),
        ):
            promised = f"{percent:g} % shorter: {100 * share:.0f} % less {what}"
            blind = [of(row) for row in here if row.compressor not in looking]
            seeing = [of(row) for row in here if row.compressor in looking]
            lines += _saved(promised, f"without attention{how}", blind, share)
            lines += _saved(promised, f"by attention{how}", seeing, share)
    for percent in sorted({row.percent for row in trained}):
        lines += _losses([row for row in trained if row.percent == percent], percent, str(pattern["matched"]))
    return tuple(lines)


def _saved(promised: str, who: str, shares: Sequence[float], share: float) -> list[dict[str, Any]]:
    if not shares:
        return []
    return [{"promised": promised, "of": who, "measured": _span(shares), "holds": min(shares) >= share - NEAR}]


def _losses(rows: Sequence[StudyRow], percent: float, good: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for row in rows:
        if row.compressor == good:
            low, high = _interval(row)
            ends = "" if low is None or high is None else f" ({_span([low, high])})"
            lines.append(
                {
                    "promised": f"{percent:g} % shorter: matched, under 5 % lost",
                    "of": good,
                    "measured": ("-" if row.loss is None else _span([row.loss])) + ends,
                    "holds": _below(row, SMALL_LOSS),
                }
            )
    others = [row for row in rows if row.compressor != good]
    if others:
        small_ones = [_below(row, LARGE_LOSS) for row in others]
        large, losses = small_ones.count(False), [row.loss for row in others if row.loss is not None]
        lines.append(
            {
                "promised": f"{percent:g} % shorter: not matched, over 10 % lost",
                "of": f"the others: {large} of {len(others)}",
                "measured": _span(losses) if losses else "-",
                "holds": False if True in small_ones else None if None in small_ones else True,
            }
        )
    return lines


def _interval(row: StudyRow) -> tuple[float, float] | tuple[None, None]:
    """The interval of the loss; None where there is none."""
    if row.share is None or row.share.low is None or row.share.high is None:
        return None, None
    return 1 - row.share.high, 1 - row.share.low


def _below(row: StudyRow, bound: float) -> bool | None:
    """Whether a loss is below a bound, by its interval; None where it may be on either side."""
    low, high = _interval(row)
    if low is None or high is None:
        return None
    if high < bound:
        return True
    return False if low > bound else None


def _span(shares: Sequence[float]) -> str:
    # Adding 0 makes a zero of a negative one.
    low, high = (f"{round(100 * share, 1) + 0.0:.1f}" for share in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} .. {high} %"
