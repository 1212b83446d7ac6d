"""The smallest footprint at which a method keeps most of the full cache's score, and how sure it is."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from keepmap.core.arguments import shown
from keepmap.core.intervals import LEAST
from keepmap.core.statistics.samples import clusters_of, is_between, numbers_of, table_of
from keepmap.errors import InputError

__all__ = ["CriticalFootprint", "critical_footprint"]

DRAWS = 2000
_LEVELS = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True)
class CriticalFootprint:
    """From which footprint on a share of the full cache's mean score is kept.

    Attributes:
        footprint: between measured ones interpolated along straight lines; the full cache is the one at 1.
        at_most: whether it is the smallest that was measured, so that the critical one is at most that.
        low, high: the 95 % interval of a bootstrap over clusters; None for fewer than three of them.
        share: of the full score that is to be kept.
        n, n_clusters: samples, and the independent groups that they are in.
    """

    footprint: float
    at_most: bool
    low: float | None
    high: float | None
    share: float
    n: int
    n_clusters: int

    def __repr__(self) -> str:
        ends = f"n={self.n_clusters}" if self.low is None else f"{self.low:.3f} .. {self.high:.3f}, n={self.n_clusters}"
        sign = "<= " if self.at_most else ""
        return f"CriticalFootprint({sign}{self.footprint:.3f} [{ends}] keeps {self.share:.0%} of the full score)"


def critical_footprint(
    footprints: Sequence[float] | np.ndarray,
    scores: Sequence[Sequence[float]] | np.ndarray,
    full: Sequence[float] | np.ndarray,
    *,
    share: float = 0.9,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    seed: int = 0,
) -> CriticalFootprint:
    """The smallest footprint from which on a method keeps `share` of the full cache's mean score.

    From the full cache down, the first place where the mean, along straight lines between what was measured, falls
    below that share: a smaller footprint that does well by chance counts for nothing.

    >>> critical_footprint([0.2, 0.5], [[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]], [1.0, 1.0, 1.0, 0.0])
    CriticalFootprint(0.455 [0.200 .. 0.470, n=4] keeps 90% of the full score)

    Args:
        footprints: of K measurements, each above 0 and below 1, in any order.
        scores: [n, K], a row for each sample; higher is better.
        full: [n], of the full cache.
        clusters: of each sample, what it is a part of; each is its own by default.
        seed: of the bootstrap, which draws clusters.

    Raises:
        InputError: numbers that do not fit together, or a full score that is not above 0 on average.
    """
    if not is_between(share, 0, 1):
        raise InputError(f"expected `share` to be above 0 and below 1, got {shown(share)}")
    held = numbers_of("footprints", footprints)
    if not ((held > 0) & (held < 1)).all() or len({*held.tolist()}) < len(held):
        raise InputError(f"expected `footprints` to be different numbers above 0 and below 1, got {shown(footprints)}")
    whole = numbers_of("full", full)
    measured = table_of("scores", scores, (len(whole), len(held)))
    of, n_clusters = clusters_of(clusters, len(whole))
    order = np.argsort(held)
    held = np.append(held[order], 1.0)
    sums = np.zeros((n_clusters, len(held)))
    np.add.at(sums, of, np.column_stack([measured[:, order], whole]))
    if sums[:, -1].sum() <= 0:
        raise InputError(f"expected `full` to be above 0 on average, got {whole.mean():.4g}: no share of it is kept")
    footprint, at_most = _first_below(held, sums.sum(0)[None], share)
    low = high = None
    if n_clusters >= LEAST:
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=DRAWS)
        drawn, _ = _first_below(held, counts @ sums, float(share))
        # A draw whose full score is nothing says nothing.
        low, high = (float(end) for end in np.nanquantile(drawn, _LEVELS))
        low, high = (None, None) if math.isnan(low) else (low, high)
    return CriticalFootprint(
        footprint=float(footprint[0]),
        at_most=bool(at_most[0]),
        low=low,
        high=high,
        share=float(share),
        n=len(whole),
        n_clusters=n_clusters,
    )


def _first_below(
    held: Float[np.ndarray, " K"], sums: Float[np.ndarray, "R K"], share: float
) -> tuple[Float[np.ndarray, " R"], Bool[np.ndarray, " R"]]:
    """Of R curves over ascending footprints, the last of which is the full cache's; NaN where that is not above 0."""
    target = share * sums[:, -1:]
    below = sums < target
    # The last place below; -1 where none is.
    last = np.where(below.any(1), below.shape[1] - 1 - below[:, ::-1].argmax(1), -1)
    at, rows = np.maximum(last, 0).clip(max=len(held) - 2), np.arange(len(sums))
    rise = sums[rows, at + 1] - sums[rows, at]
    part = np.divide(target[:, 0] - sums[rows, at], rise, out=np.zeros(len(sums)), where=rise > 0)
    between = held[at] + part * (held[at + 1] - held[at])
    footprint = np.where(last < 0, held[0], between)
    return np.where(sums[:, -1] > 0, footprint, np.nan), last < 0
