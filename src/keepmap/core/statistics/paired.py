"""Differences of pairs of methods that were measured on the same samples, and how sure they are. P pairs, C clusters.

Samples of one cluster (questions about one context, seeds of one goal) are not independent; clusters are. A difference
is (sum of weighted differences) / (sum of weights); how far it moves when a cluster is left out (the jackknife) says
how unsure it is. Tests are those of the project's one rule for intervals: a difference is beyond a value at 2.5 % just
where that value is outside of the 95 % interval, skewness and all.

References: `keepmap.core.intervals`, for the intervals; Q. McNemar, "Note on the sampling error of the difference
between correlated proportions", Psychometrika 12 (1947), 153-157, whose exact test `sign_flips` is where each sample
is a cluster; A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched proportions",
Statistics in Medicine 24 (2005), 729-740, for the pairs that are added to those of zeros and ones.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from keepmap.core.intervals import mean_intervals, third_cumulant
from keepmap.core.statistics.student import student_quantile, student_tail

__all__ = ["Differences", "sign_flips"]

POWER = 0.8
_ADDED = 2
"""Clusters that are added on either side to those of zeros and ones: that all agree proves nothing by itself."""


@dataclass(frozen=True, eq=False)
class Differences:
    """P pairs' differences over C clusters, 3 at least.

    Attributes:
        sums: [C, P], each cluster's sum of weighted differences.
        weights: [C], its sum of weights, above 0.
    """

    sums: Float[np.ndarray, "C P"]
    weights: Float[np.ndarray, " C"]

    def padded(self) -> "Differences":
        """With clusters of average weight that differ entirely, `_ADDED` to either side: for zeros and ones."""
        weight = float(self.weights.mean())
        wholly = np.full((_ADDED, self.sums.shape[1]), weight)
        return Differences(
            np.concatenate([self.sums, wholly, -wholly]), np.concatenate([self.weights, np.full(2 * _ADDED, weight)])
        )

    @cached_property
    def mean(self) -> Float[np.ndarray, " P"]:
        """The differences."""
        return self.sums.sum(0) / self.weights.sum()

    @cached_property
    def _moved(self) -> Float[np.ndarray, "C P"]:
        """How far each cluster moves the mean: as unsure as their own mean, which is 0."""
        total = self.weights.sum()
        share = (len(self.weights) - 1) / (total - self.weights)
        moved = (self.sums - self.mean * self.weights[:, None]) * share[:, None]
        return moved - moved.mean(0)

    @cached_property
    def error(self) -> Float[np.ndarray, " P"]:
        """Standard errors; 0 where each cluster differs by the same."""
        error = np.sqrt(self._moved.var(axis=0, ddof=1) / len(self.weights))
        # What is left of differences that are all the same is rounding.
        size = np.abs(self.sums).max(axis=0) / self.weights.mean()
        return np.where(error > 1e-13 * size, error, 0.0)

    def intervals(self) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
        """95 % intervals, by `keepmap.core.intervals`."""
        low, high = mean_intervals(self._moved[:, None, :])
        assert low is not None and high is not None
        return self.mean + low, self.mean + high

    def above(self, value: float) -> Float[np.ndarray, " P"]:
        """p-values of "the difference is not above `value`"."""
        return self._tail(self.mean - value, self._skewness)

    def below(self, value: float) -> Float[np.ndarray, " P"]:
        """p-values of "the difference is not below `value`"."""
        return self._tail(value - self.mean, -self._skewness)

    def detectable(self, level: float) -> Float[np.ndarray, " P"]:
        """The least true difference that a two-sided test at `level` finds in about four of five cases."""
        # The skewness that few values seem to have costs power: as much as half the degrees of freedom, simulated.
        freedom = max(1.0, (len(self.weights) - 1) / 2)
        return (student_quantile(1 - level / 2, freedom) + student_quantile(POWER, freedom)) * self.error

    @cached_property
    def _skewness(self) -> Float[np.ndarray, " P"]:
        """Of the mean."""
        unit = np.where(self.error > 0, self.error, 1.0)
        return np.where(self.error > 0, third_cumulant(self._moved / unit) / len(self.weights) ** 2, 0.0)

    def _tail(self, beyond: Float[np.ndarray, " P"], skewness: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
        freedom, varying = len(self.weights) - 1, self.error > 0
        t = beyond / np.where(varying, self.error, 1.0)
        tail = student_tail(t, freedom)
        # Hall's transformation, where the longer tail is on this side: one degree of freedom goes into its estimate.
        hall = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6
        tail = np.where(skewness < 0, np.maximum(tail, student_tail(hall, max(1.0, freedom - 1))), tail)
        certain = 0.5 - 0.5 * np.sign(beyond)
        return np.where(varying, tail, certain)


def sign_flips(sums: Float[np.ndarray, " C"]) -> float:
    """The exact two-sided p-value of C whole numbers, the clusters' differences, if each had either sign as easily.

    Of numbers in -1, 0, 1 that is the exact McNemar test.

    >>> sign_flips(np.array([1.0, 1.0, 1.0, 0.0, 1.0, -1.0]))
    0.375
    """
    sizes = np.abs(sums[sums != 0]).astype(int)
    middle = int(sizes.sum())
    chance = np.zeros(2 * middle + 1)
    chance[middle] = 1.0
    for size in sizes:
        chance = 0.5 * (np.roll(chance, size) + np.roll(chance, -size))
    far = abs(int(sums.sum()))
    return min(1.0, float(chance[: middle - far + 1].sum() + chance[middle + far :].sum()) if far else 1.0)
