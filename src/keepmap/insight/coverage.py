"""How many positions hold a share of a query's attention: chosen as the most attended, the most recent, or evenly."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import shown
from keepmap.errors import InputError

__all__ = ["HALF", "ROUNDING", "SHARE", "Coverage", "Shares", "coverage", "pattern_of", "require_share"]

SHARE = 0.7
"""How much of the attention is to be kept, unless asked for otherwise."""

NO_GAIN = 0.8
"""Positions stand out where they need less than this of what they would need if all were attended to alike."""

SIMPLER = 2
"""The most recent positions are preferred, as no attention has to be known for them, up to so many times as many."""

ROUNDING = 1e-6
"""Shares that differ by less are alike."""


HALF = 0.5
"""Sinks are named where more than this share of the attention goes to them, and more than if all were alike."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Shares:
    """How attention is shared out: over n positions to choose from, over their ages, and to what is kept in any case.

    Attributes:
        positions: [n], n >= 1, the attention to each, oldest first; need not add up to 1.
        ages: [n], the attention to the newest position that a query sees, to the one before it, ...: of one query, the
            positions backwards; of many, of which each has a newest position of its own, their mean.
        even_positions, even_ages: [n], what both would be if each query attended alike to what it sees of the n.
        given: the attention to positions that are kept in any case (a language model's sinks).
        even_given: the share that these would get if each query attended alike to all that it sees.
        first: the number of the first of the n positions.
    """

    positions: Float[Tensor, " n"]
    ages: Float[Tensor, " n"]
    even_positions: Float[Tensor, " n"]
    even_ages: Float[Tensor, " n"]
    given: float = 0.0
    even_given: float = 0.0
    first: int = 0

    @classmethod
    def of_query(
        cls, row: Float[Tensor, " n"], given: float = 0.0, even_given: float = 0.0, first: int = 0
    ) -> "Shares":
        """The shares of one query that sees all n positions."""
        even = torch.full_like(row, float(row.sum()) / len(row))
        return cls(
            positions=row,
            ages=row.flip(0),
            even_positions=even,
            even_ages=even,
            given=given,
            even_given=even_given,
            first=first,
        )


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of attention to n positions, and to some more that are kept in any case: these come first, the rest is counted.

    Attributes:
        n: positions to choose from.
        share: how much of the attention to them is to be kept.
        given: the share of all attention that goes to what is kept in any case (a language model's sinks).
        even_given: what that would be if each query attended to all alike: of a short text, most of it.
        top: how many of the most attended positions are needed. No choice of fixed positions needs fewer.
        recent: how many of the most recent, as each query sees them.
        even: how many evenly spaced ones, which hold on average as much attention as their number is of n.
        even_top, even_recent: `top` and `recent` of queries that attend to all alike; of one query, n * share.
        normalised_entropy: of the n positions' attention, / ln n: 1 is uniform at any length.
        effective: exp(entropy) / n: the share of the positions that a uniform attention of this entropy goes to.
        recent_quarter: the share of all attention that goes to the most recent quarter of the n.
        recent_distant: the mean of that quarter over the mean of the quarter of the greatest age, each divided by what
            it would be if all were attended to alike; infinite where the latter has nothing, NaN where n is 1.
    """

    n: int
    share: float
    given: float
    even_given: float
    top: int
    recent: int
    even: int
    even_top: int
    even_recent: int
    normalised_entropy: float
    effective: float
    recent_quarter: float
    recent_distant: float

    @property
    def sinks(self) -> bool:
        """Whether what is kept in any case has more than half of the attention, and more than if all were alike."""
        return self.given > max(HALF, self.even_given + ROUNDING)


def coverage(shares: Shares, share: float = SHARE) -> Coverage:
    """Count the positions that are needed for `share` of the attention beside what is kept in any case."""
    require_share(share)
    weights, ages = shares.positions.double(), shares.ages.double()
    n, inside = len(weights), float(weights.sum())
    total = inside + shares.given
    entropy = float(torch.special.entr(weights / max(inside, torch.finfo(torch.float64).tiny)).sum())

    def needed(ordered: Float[Tensor, " n"]) -> int:
        # Of equal weights, no sum may miss the share by its rounding.
        enough = (share - ROUNDING) * inside
        return min(n, int((ordered.double().cumsum(0) < enough).sum()) + 1) if enough > 0 else 0

    quarter = max(1, n // 4)
    recent, distant = float(ages[:quarter].sum()), float(ages[-quarter:].sum())
    even_recent, even_distant = float(shares.even_ages[:quarter].sum()), float(shares.even_ages[-quarter:].sum())
    top = needed(weights.sort(descending=True).values)
    ratio = math.nan
    if n > 1 and max(recent, distant) > 0:
        ratio = recent / distant * (even_distant / even_recent) if distant > 0 else math.inf
    return Coverage(
        n=n,
        share=share,
        given=shares.given / total if total > 0 else 0.0,
        even_given=shares.even_given,
        top=top,
        recent=needed(ages),
        even=min(n, max(top, math.ceil((share - ROUNDING) * n))) if inside > 0 else 0,
        even_top=needed(shares.even_positions.sort(descending=True).values),
        even_recent=needed(shares.even_ages),
        normalised_entropy=entropy / math.log(n) if n > 1 else math.nan,
        effective=math.exp(entropy) / n,
        recent_quarter=recent / total if total > 0 else 0.0,
        recent_distant=ratio,
    )


def pattern_of(numbers: Coverage) -> tuple[str, int]:
    """The simplest rule that covers, and how many positions it keeps: "sinks", "uniform", "recency" or "sparse".

    In this order: nothing is left beside what is kept in any case (sinks, 0 more); neither the most attended nor the
    most recent stand out, as both need 0.8 or more of what they would if all were attended to alike (uniform); the most
    recent need at most twice as many as the most attended (recency); else the most attended (sparse). What is kept in
    any case has no say in it.
    """
    if not numbers.top:
        return "sinks", 0
    if numbers.top >= NO_GAIN * numbers.even_top and numbers.recent >= NO_GAIN * numbers.even_recent:
        return "uniform", numbers.even
    if numbers.recent <= SIMPLER * numbers.top:
        return "recency", numbers.recent
    return "sparse", numbers.top


def require_share(share: float) -> None:
    """Refuse a share of the attention that is none.

    Raises:
        InputError: not above 0 and below 1.
    """
    if not (isinstance(share, int | float) and 0 < share < 1):
        raise InputError(f"expected `share` to be above 0 and below 1, got {shown(share)}")
