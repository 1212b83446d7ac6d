"""What a guide to compression promises of memory, compute and return, against what a study has measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keepmap.evaluation.study import BASELINE, Row, Run

__all__ = ["matched", "pattern_of", "promises_of"]

NEAR = 0.05  # of a share that was promised with "about"
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


def pattern_of(runs: Sequence[Run]) -> dict[str, Any]:
    """The attention of the untrained-on baselines over whole histories, and the compressor that is matched to it."""
    baselines = [run for run in runs if run.compressor == BASELINE and not run.trained]
    nats = float(np.mean([run.nats for run in baselines]))
    ratio = float(np.mean([run.recent_distant for run in baselines]))
    return {"nats": nats, "recent_distant": ratio, "matched": matched(nats, ratio)}


def promises_of(rows: Sequence[Row], pattern: Mapping[str, Any], looking: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """A line for each promise that the rows can tell about: `promised`, `of`, `measured`, `holds`.

    Of rows that were trained. Memory and compute are said apart for compressors that look at the whole window first,
    and compute against a baseline that re-runs its window for each action and one that has a key/value cache. Shares
    were promised as "about": they hold within 0.05. What is measured is the least and the most over compressors.

    Args:
        looking: compressors that need attention.
    """
    trained = [row for row in rows if row.trained and row.compressor != BASELINE]
    said: list[dict[str, Any]] = []
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
            said += _saved(promised, f"without attention{how}", blind, share)
            said += _saved(promised, f"by attention{how}", seeing, share)
    for percent in sorted({row.percent for row in trained}):
        said += _losses([row for row in trained if row.percent == percent], percent, str(pattern["matched"]))
    return tuple(said)


def _saved(promised: str, who: str, found: Sequence[float], share: float) -> list[dict[str, Any]]:
    if not found:
        return []
    near = all(abs(one - share) <= NEAR for one in found)
    return [{"promised": promised, "of": who, "measured": _span(found), "holds": near}]


def _losses(rows: Sequence[Row], percent: float, good: str) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    losses = {row.compressor: row.loss for row in rows if row.loss is not None}
    if good in losses:
        loss = losses[good]
        said.append(
            {
                "promised": f"{percent:g} % shorter: matched, under 5 % lost",
                "of": good,
                "measured": _span([loss]),
                "holds": loss < SMALL_LOSS,
            }
        )
    others = [loss for name, loss in losses.items() if name != good]
    if others:
        large = sum(loss > LARGE_LOSS for loss in others)
        said.append(
            {
                "promised": f"{percent:g} % shorter: not matched, over 10 % lost",
                "of": f"the others: {large} of {len(others)}",
                "measured": _span(others),
                "holds": large == len(others),
            }
        )
    return said


def _span(shares: Sequence[float]) -> str:
    low, high = f"{100 * min(shares):.1f}", f"{100 * max(shares):.1f}"
    return f"{low} %" if low == high else f"{low} .. {high} %"
