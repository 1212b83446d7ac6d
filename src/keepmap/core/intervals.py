"""How sure a number is: the one rule for 95 % intervals, for every mean, ratio and share that the project prints.

A mean of n independent values has Student's interval, and on the side of the longer tail the end that Hall's
transformation gives where that is farther out: skewed values leave Student's interval on that side. Its skewness is
estimated, too, which costs one degree of freedom. Below `LEAST` values there is none.

A bootstrap of few values is far too narrow (a percentile bootstrap of three is their minimum and maximum, and covers
75 %). How often these intervals cover what they should is simulated in tests/core/test_intervals.py.

References: P. Hall, "On the removal of skewness by transformation", J. R. Statist. Soc. B 54 (1992), 221-228; for
crossed effects F. E. Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
Bulletin 2 (1946), 110-114; for shares E. B. Wilson, J. Am. Statist. Assoc. 22 (1927), 209-212.
"""

import math

import numpy as np
from jaxtyping import Float

__all__ = [
    "LEAST",
    "NOT_NEGATIVE",
    "RULE",
    "mean_interval",
    "mean_intervals",
    "ratio_interval",
    "share_interval",
    "t_quantile",
    "third_cumulant",
]

RULE = 3
"""The number of the rule, which files hold beside intervals: 1 was a bootstrap, 2 knew no ends of values."""

LEAST = 3
"""Of fewer values no interval is given: two do not show how skewed they are."""

ANYTHING = (-math.inf, math.inf)
NOT_NEGATIVE = (0.0, math.inf)
"""What values can be."""

Z = 1.959963984540054
"""The normal distribution's quantile at 0.975."""

_EXPANDED = 5.0
"""Degrees of freedom from which the expansion of Student's quantile is good enough."""

Ends = tuple[float, float] | tuple[None, None]


def mean_interval(values: Float[np.ndarray, " n"], within: tuple[float, float] = ANYTHING) -> Ends:
    """The 95 % interval of the mean of n independent values that lie `within` two ends; None for fewer than three.

    >>> low, high = mean_interval(np.array([0.9, 1.0, 1.3]))
    >>> print(f"{low:.2f} {high:.2f}")
    0.55 2.54
    """
    low, high = mean_intervals(values[None, :, None], within)
    return (None, None) if low is None or high is None else (float(low[0]), float(high[0]))


def mean_intervals(
    values: Float[np.ndarray, "S G E"], within: tuple[float, float] = ANYTHING
) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " E"]] | tuple[None, None]:
    """95 % intervals of E means, each over S training seeds and G goals, which are crossed.

    Either has an effect of its own; one of which there are fewer than three is taken as it is: the interval is over the
    others, and None where there are fewer than three of both. An interval ends where values end: no mean lies beyond.
    """
    seeds, goals, n = values.shape
    effects = [values.mean(1 - axis) for axis in (0, 1) if values.shape[axis] >= LEAST]
    if not effects:
        return None, None
    # Each effect's part of the variance of the mean; what both share in is counted twice, on the safe side.
    parts = [means.var(axis=0, ddof=1) / len(means) for means in effects]
    variance = np.sum(parts, axis=0)
    freedom = np.full(n, min(len(means) for means in effects) - 1.0)
    varying = variance > 0
    # Powers of the parts' shares, and of means in units of the error: those of small values would vanish.
    shares = [np.divide(part, variance, out=np.zeros(n), where=varying) for part in parts]
    sums = np.sum([share**2 / (len(means) - 1) for share, means in zip(shares, effects, strict=True)], axis=0)
    np.divide(1.0, sums, out=freedom, where=varying)
    unit = np.where(varying, np.sqrt(variance), 1.0)
    skewness: Float[np.ndarray, " E"] = np.sum(
        [third_cumulant(means / unit) / len(means) ** 2 for means in effects], axis=0
    )
    below, above = _reach(skewness, freedom)
    mean, error = values.mean((0, 1)), np.sqrt(variance)
    return np.maximum(mean - below * error, within[0]), np.minimum(mean + above * error, within[1])


def ratio_interval(
    values: Float[np.ndarray, "S G"], bases: Float[np.ndarray, "S G"], within: tuple[float, float] = ANYTHING
) -> Ends:
    """The 95 % interval of (sum of values / sum of bases), paired, over seeds and goals as `mean_intervals` has them.

    Of samples of different lengths S is 1: the sum of what each adds, over the sum of their tokens. None for fewer than
    three of both, or where the bases (none below 0) add up to nothing, or to one of them.

    >>> low, high = ratio_interval(np.array([[1.0, 4.0, 3.0, 5.0]]), np.array([[10.0, 20.0, 30.0, 40.0]]))
    >>> print(f"{low:.3f} {high:.3f}")
    0.069 0.335
    """
    total, rest = float(bases.sum()), bases.sum() - bases
    if total <= 0 or (rest <= 0).any():
        return None, None
    ratio = float(values.sum()) / total
    # How far the ratio moves when one is left out (the jackknife): as unsure as their mean, whatever the bases.
    moved = (values - ratio * bases) * (bases.size - 1) / rest
    low, high = mean_intervals((moved - moved.mean())[:, :, None])
    if low is None or high is None:
        return None, None
    return max(ratio + float(low[0]), within[0]), min(ratio + float(high[0]), within[1])


def share_interval(share: float, n: int) -> Ends:
    """Wilson's 95 % interval of a share (0 to 1) of n independent samples; None for one sample.

    It is never 0 or 1 wide where the samples are few.
    """
    if n < 2:
        return None, None
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


def t_quantile(freedom: float | int) -> float:
    """Student's quantile at 0.975, to 1e-3 or better, for 1 degree of freedom or more: fractions, too.

    Reference: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if freedom < _EXPANDED:
        # With t = sqrt(freedom) tan(angle), the density is cos(angle) ** (freedom - 1), which is added up.
        angles = np.linspace(0.0, math.pi / 2, 2049)
        density = np.cos(angles) ** (freedom - 1)
        within = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
        return math.sqrt(freedom) * math.tan(float(np.interp(0.95 * within[-1], within, angles)))
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return Z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def _reach(
    skewness: Float[np.ndarray, " E"], freedom: Float[np.ndarray, " E"]
) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " E"]]:
    """How many standard errors the interval reaches below and above a mean of that skewness."""
    different, which = np.unique(freedom, return_inverse=True)
    near = np.array([t_quantile(float(value)) for value in different])[which]
    less = np.array([t_quantile(max(1.0, float(value) - 1)) for value in different])[which]
    # Hall's: T + skewness T^2 / 3 + skewness^2 T^3 / 27 + skewness / 6 is as good as symmetric; solved for T.
    size = np.abs(skewness)
    hall = 3 * (1 - np.cbrt(1 - size * (less + size / 6)))
    far = np.maximum(near, np.divide(hall, size, out=near.copy(), where=size > 1e-8))
    return np.where(skewness < 0, far, near), np.where(skewness > 0, far, near)


def third_cumulant(means: Float[np.ndarray, "n E"]) -> Float[np.ndarray, " E"]:
    """An unbiased estimate of the third cumulant of each of E columns, over n rows, 3 at least."""
    n = len(means)
    moment: Float[np.ndarray, " E"] = ((means - means.mean(axis=0)) ** 3).mean(axis=0)
    return n**2 / ((n - 1) * (n - 2)) * moment
