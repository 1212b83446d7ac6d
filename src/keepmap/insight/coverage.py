"""How many positions hold a share of a query's attention: chosen as the most attended, the most recent, or evenly."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import shown
from keepmap.errors import InputError

__all__ = ["SHARE", "Coverage", "coverage", "pattern_of", "require_share"]

SHARE = 0.7
"""How much of the attention is to be kept, unless asked for otherwise."""

NO_GAIN = 0.8
"""The most attended positions stand out where they need less than this of what evenly spaced ones need."""

SIMPLER = 2
"""The most recent positions are preferred, as no attention has to be known for them, up to so many times as many."""

_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of one row of attention over n positions, and some more that are kept in any case.

    Attributes:
        n: positions to choose from.
        share: how much of the attention is to be kept.
        given: the share of it that goes to what is kept in any case (a language model's sinks).
        top: how many of the most attended positions are needed. No choice needs fewer.
        recent: how many of the most recent.
        even: how many evenly spaced ones, which hold on average as much attention as their number is of n.
        normalised_entropy: of the n positions' attention, / ln n: 1 is uniform at any length.
        effective: exp(entropy) / n: the share of the positions that a uniform attention of this entropy goes to.
        recent_quarter: the share of the attention that goes to the most recent quarter of the n.
        recent_distant: the mean of that quarter over the mean of the first; infinite where the first has nothing, NaN
            where n is 1.
    """

    n: int
    share: float
    given: float
    top: int
    recent: int
    even: int
    normalised_entropy: float
    effective: float
    recent_quarter: float
    recent_distant: float


def coverage(row: Float[Tensor, " n"], share: float = SHARE, given: float = 0.0) -> Coverage:
    """Count the positions that are needed for `share` of the attention.

    Args:
        row: the attention to n >= 1 positions, oldest first; need not add up to 1.
        given: the attention to positions that are kept in any case, on the row's scale.
    """
    require_share(share)
    weights = row.double()
    n, total = len(weights), float(weights.sum()) + given
    inside = weights / weights.sum().clamp(min=torch.finfo(torch.float64).tiny)
    # Of equal weights, no sum may miss the share by its rounding.
    enough = (share - _ROUNDING) * total - given
    entropy = float(torch.special.entr(inside).sum())

    def needed(ordered: Float[Tensor, " n"]) -> int:
        if enough <= 0:
            return 0
        return min(n, int((ordered.cumsum(0) < enough).sum()) + 1)

    quarter = max(1, n // 4)
    recent, distant = float(weights[-quarter:].sum()), float(weights[:quarter].sum())
    even = max(0.0, enough) / (total - given) if total > given else 0.0
    top = needed(weights.sort(descending=True).values)
    return Coverage(
        n=n,
        share=share,
        given=given / total if total > 0 else 0.0,
        top=top,
        recent=needed(weights.flip(0)),
        even=min(n, max(top, math.ceil(even * n))),
        normalised_entropy=entropy / math.log(n) if n > 1 else math.nan,
        effective=math.exp(entropy) / n,
        recent_quarter=recent / total if total > 0 else 0.0,
        recent_distant=math.nan if n < 2 or recent == distant == 0 else recent / distant if distant > 0 else math.inf,
    )


def pattern_of(numbers: Coverage) -> tuple[str, int]:
    """The simplest rule that covers, and how many positions it keeps: "sinks", "uniform", "recency" or "sparse".

    In this order: what is kept in any case covers alone (sinks, 0 more); the most attended ones hardly stand out, and
    need 0.8 or more of what evenly spaced ones need (uniform); the most recent need at most twice as many as the most
    attended (recency; sinks, where those have more than half of the attention); else the most attended (sparse).
    """
    if not numbers.top:
        return "sinks", 0
    if numbers.top >= NO_GAIN * numbers.even:
        return "uniform", numbers.even
    if numbers.recent <= SIMPLER * numbers.top:
        return "sinks" if numbers.given > 0.5 else "recency", numbers.recent
    return "sparse", numbers.top


def require_share(share: float) -> None:
    """Refuse a share of the attention that is none.

    Raises:
        InputError: not above 0 and below 1.
    """
    if not (isinstance(share, int | float) and 0 < share < 1):
        raise InputError(f"expected `share` to be above 0 and below 1, got {shown(share)}")
