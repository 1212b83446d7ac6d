"""From lives to what can be said of them: rows, who beats whom, how few are enough, which choices are on a front."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from keepmap.agents.evaluation.normalised import Normalised, normalised_returns
from keepmap.agents.study.lives.lived import Lived
from keepmap.agents.study.results import BASELINE, label_of
from keepmap.core.intervals import LEAST
from keepmap.core.outside.reporting import ReportedTable
from keepmap.core.statistics.footprint import critical_footprint
from keepmap.core.statistics.verdicts import paired_verdicts
from keepmap.errors import InputError

__all__ = ["MARGIN", "FamilyStudy", "LivesRow", "findings_of"]

MARGIN = 0.05
"""Within which normalised returns count as equal."""
UNIT = "of the normalised return"
SHARES = (0.9, 0.95)
"""Of the baseline's normalised return, for which the least budget is sought."""
COSTS = ("kept", "bytes", "flops")
TIME = "milliseconds"
"""A cost that is measured, and therefore is no part of the rows."""


@dataclass(frozen=True, kw_only=True)
class LivesRow:
    """A compressor at one budget; intervals are of 95 %, over tasks.

    Attributes:
        length: how many transitions it may keep; kept: how many it kept per action; ratio: of those that there were.
        normalised: the normalised return at the end of the life, with its interval.
        middle: the interquartile mean of tasks, copies and agents, with its bootstrap over them.
        reached, regret, drop: see `Adaptation`.
        fronts: the costs at which no other choice earns as much for less: of "kept", "bytes" and "flops".
    """

    compressor: str
    percent: float
    length: int
    kept: float
    ratio: float
    flops: float
    bytes: int
    normalised: float
    normalised_low: float | None
    normalised_high: float | None
    middle: float
    middle_low: float | None
    middle_high: float | None
    reached: int | None
    regret: float
    drop: float
    fronts: str

    @property
    def label(self) -> str:
        """What tables call the row: `recency 80%`, or `baseline`."""
        return label_of(self.compressor, self.percent)


@dataclass(frozen=True, kw_only=True, repr=False)
class FamilyStudy(ReportedTable):
    """What shortened histories cost agents of a family.

    Attributes:
        results: the baseline first.
        verdicts: per cent shorter -> who beats whom there, what is equal, and what cannot be told, as sentences.
        curves: of each result, the mean normalised return of each episode; None where nothing can be earned in it.
        critical: of each compressor, the least share of the history with which it keeps 90 and 95 % of the baseline's.
        end: the episodes that count, counted from 1. tasks, agents, copies: how many there are.
        options, versions: what decided the numbers, as JSON values.
        times: label of a result -> seconds of an action of one life, measured; empty where none were.
    """

    results: tuple[LivesRow, ...]
    verdicts: Mapping[float, tuple[str, ...]]
    curves: tuple[tuple[float | None, ...], ...]
    critical: tuple[Mapping[str, Any], ...]
    end: tuple[int, int]
    tasks: int
    agents: int
    copies: int
    options: Mapping[str, Any]
    versions: Mapping[str, str]
    times: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        base = self.results[0]
        return (
            f"FamilyStudy({len(self.results) - 1} choices of what is kept; the baseline's normalised return is "
            f"{base.normalised:.3f}; {self.tasks} tasks x {self.copies} copies, {self.agents} agents)"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per result, as in the CSV."""
        return [asdict(row) for row in self.results]

    @property
    def fronts(self) -> tuple[tuple[str, ...], ...]:
        """Of each result the costs at which no other one earns as much for less, "milliseconds" too if known."""
        known = all(row.label in self.times for row in self.results)
        points = [(self.times.get(row.label, 0.0), row.normalised) for row in self.results]
        return tuple(
            (*row.fronts.split(), *[TIME] * (known and _is_on_front(point, points)))
            for row, point in zip(self.results, points, strict=True)
        )

    @property
    def header(self) -> tuple[str, ...]:
        """The keys of every row."""
        return tuple(each.name for each in fields(LivesRow))

    @property
    def caption(self) -> str:
        """Whose returns they are, and of which episodes."""
        return f"Normalised returns of episodes {self.end[0]} to {self.end[1]} with shortened histories"

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of most interest."""
        return ("compressor", "percent", "normalised", "normalised_low", "normalised_high", "middle", "kept", "fronts")


def findings_of(
    lives: Sequence[Lived],
    best: Float[np.ndarray, "G L"],
    random: Float[np.ndarray, "G L"],
    options: Mapping[str, Any],
    versions: Mapping[str, str],
) -> FamilyStudy:
    """What can be said of lives in the same tasks, of which one has the whole window.

    Args:
        best, random: what the best and a random agent earn in each task and episode.

    Raises:
        InputError: there is nothing to be earned in the last quarter of a life.
    """
    ordered = sorted(lives, key=lambda each: (each.compressor != BASELINE, each.compressor, each.percent))
    agents, tasks, copies, _ = ordered[0].returns.shape
    # Agents and copies of a task are its samples; the task is the cluster.
    samples = [np.concatenate(list(each.returns), axis=1) for each in ordered]
    measured = [normalised_returns(sample, best, random) for sample in samples]
    shares = [each for each in measured if each is not None]
    if len(shares) < len(ordered):
        raise InputError("expected a family in which the last quarter of a life pays; take more episodes")
    rows = tuple(_row(each, share, ordered, shares) for each, share in zip(ordered, shares, strict=True))
    return FamilyStudy(
        results=rows,
        verdicts=_verdicts(ordered, shares),
        curves=tuple(tuple(None if math.isnan(value) else value for value in share.curve) for share in shares),
        critical=_critical(ordered, shares),
        end=shares[0].end,
        tasks=tasks,
        agents=agents,
        copies=copies,
        options=dict(options),
        versions=dict(versions),
    )


def _row(lived: Lived, share: Normalised, lives: Sequence[Lived], shares: Sequence[Normalised]) -> LivesRow:
    def is_best_at(cost: str) -> bool:
        points = [(float(getattr(each, cost)), other.mean) for each, other in zip(lives, shares, strict=True)]
        return _is_on_front((float(getattr(lived, cost)), share.mean), points)

    return LivesRow(
        compressor=lived.compressor,
        percent=lived.percent,
        length=lived.length,
        kept=lived.kept,
        ratio=lived.ratio,
        flops=lived.flops,
        bytes=lived.bytes,
        normalised=share.mean,
        normalised_low=share.low,
        normalised_high=share.high,
        middle=share.middle.value,
        middle_low=share.middle.low,
        middle_high=share.middle.high,
        reached=share.adaptation.episodes,
        regret=share.adaptation.regret,
        drop=share.adaptation.drop,
        fronts=" ".join(cost for cost in COSTS if is_best_at(cost)),
    )


def _is_on_front(own: tuple[float, float], points: Sequence[tuple[float, float]]) -> bool:
    """Whether no other (cost, return) is as good in both, and better in one."""
    return not any(cost <= own[0] and earned >= own[1] and (cost, earned) != own for cost, earned in points)


def _verdicts(lives: Sequence[Lived], shares: Sequence[Normalised]) -> dict[float, tuple[str, ...]]:
    by_budget: dict[float, dict[str, np.ndarray]] = {}
    for lived, share in zip(lives[1:], shares[1:], strict=True):
        by_budget.setdefault(lived.percent, {})[lived.compressor] = share.of_goals.ravel()
    clusters = np.repeat(np.arange(len(shares[0].of_goals)), shares[0].of_goals.shape[1])
    whole = {BASELINE: shares[0].of_goals.ravel()}
    return {
        percent: paired_verdicts(whole | scores, margin=MARGIN, clusters=clusters, unit=UNIT).lines
        for percent, scores in sorted(by_budget.items())
    }


def _critical(lives: Sequence[Lived], shares: Sequence[Normalised]) -> tuple[dict[str, Any], ...]:
    whole = shares[0].of_goals.mean(1)
    if whole.mean() <= 0 or len(whole) < LEAST:
        return ()
    lines = []
    for name in dict.fromkeys(lived.compressor for lived in lives[1:]):
        # A threshold may keep the same share at every budget: the first of equal ones counts.
        curve = {lived.ratio: share for lived, share in zip(lives, shares, strict=True) if lived.compressor == name}
        curve = {ratio: share for ratio, share in curve.items() if 0 < ratio < 1}
        if not curve:
            continue
        table = np.stack([share.of_goals.mean(1) for share in curve.values()], axis=1)
        for share in SHARES:
            least = critical_footprint(list(curve), table, whole, share=share)
            lines.append({"compressor": name, **asdict(least)})
    return tuple(lines)
