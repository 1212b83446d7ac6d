"""How sure a number is: 95 % intervals, and which of them is used when.

- `bootstrap_interval`: a ratio of sums over samples of different lengths, paired: the change in NLL per token.
- `bootstrap_means`, `bootstrap_ratio`: means over training seeds and goals, which are crossed: returns of agents.
- `t_interval`: a mean over few independent samples (a bootstrap of five is too narrow): verification by deletion.
- `share_interval`: a share of few samples, which must not look certain at 0 or 100 %.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer

__all__ = [
    "bootstrap_interval",
    "bootstrap_means",
    "bootstrap_ratio",
    "share_interval",
    "t_interval",
    "t_quantile",
]

RESAMPLES = 10_000
INTERVAL = (0.025, 0.975)
AT_ONCE = 2**21  # weights of resamples in memory

Z = 1.959963984540054
"""The normal distribution's quantile at 0.975."""

_FEW = (12.706204736, 4.302652730, 3.182446305, 2.776445105)
"""Student's for 1 to 4 degrees of freedom, where the expansion is not good enough."""


def bootstrap_interval(
    differences: Sequence[float], tokens: Sequence[int], seed: int
) -> tuple[float, float] | tuple[None, None]:
    """95 % percentile interval of (sum of differences / sum of tokens) over resampled samples; None for one sample."""
    n = len(differences)
    if n < 2:
        return None, None
    sums, counts = np.asarray(differences, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
    rng = np.random.default_rng(seed % 2**64)
    ratios = np.empty(RESAMPLES)
    # One resample after the other: memory stays O(n), and the draws do not depend on how they are batched.
    for resample in range(RESAMPLES):
        drawn = rng.integers(n, size=n)
        ratios[resample] = sums[drawn].sum() / counts[drawn].sum()
    low, high = np.quantile(ratios, INTERVAL)
    return float(low), float(high)


def bootstrap_means(
    values: Float[np.ndarray, "S G E"], seed: int
) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " E"]] | tuple[None, None]:
    """95 % percentile intervals of E means over S training seeds and G goals; None where there is one of both.

    Seeds and goals are crossed, each with an effect of its own: a resample draws S seeds and G goals, and takes every
    pair of them. All E means are of the same resamples.
    """
    seeds, goals, n = values.shape
    if seeds * goals < 2:
        return None, None
    rng = np.random.default_rng(seed % 2**64)
    means = np.empty((RESAMPLES, n))
    at_once = max(1, AT_ONCE // (seeds * goals))
    for first in range(0, RESAMPLES, at_once):
        part = means[first : first + at_once]
        weights = _drawn(rng, len(part), seeds)[:, :, None] * _drawn(rng, len(part), goals)[:, None, :]
        part[:] = weights.reshape(len(part), -1) @ values.reshape(-1, n) / (seeds * goals)
    low, high = np.quantile(means, INTERVAL, axis=0)
    return low, high


def bootstrap_ratio(
    values: Float[np.ndarray, "S G"], before: Float[np.ndarray, "S G"], seed: int
) -> tuple[float, float] | tuple[None, None]:
    """95 % percentile interval of (mean of values / mean of before), paired: both have the same S seeds and G goals.

    Resampled as in `bootstrap_means`. None where there is one of both, or where a resample of `before` is 0.
    """
    seeds, goals = values.shape
    if seeds * goals < 2:
        return None, None
    rng = np.random.default_rng(seed % 2**64)
    weights = _drawn(rng, RESAMPLES, seeds)[:, :, None] * _drawn(rng, RESAMPLES, goals)[:, None, :]
    of_values, of_before = ((weights * sums).sum((1, 2)) for sums in (values, before))
    if (of_before <= 0).any():
        return None, None
    low, high = np.quantile(of_values / of_before, INTERVAL)
    return float(low), float(high)


def t_quantile(freedom: int) -> float:
    """Student's quantile at 0.975, to 1e-3 or better.

    Reference: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if freedom <= len(_FEW):
        return _FEW[freedom - 1]
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return Z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def t_interval(values: Float[np.ndarray, " n"]) -> tuple[float, float] | tuple[None, None]:
    """Student's 95 % interval of the mean of n independent values; None for one value."""
    n = len(values)
    if n < 2:
        return None, None
    mean, half = float(values.mean()), t_quantile(n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return mean - half, mean + half


def share_interval(share: float, n: int) -> tuple[float, float] | tuple[None, None]:
    """Wilson's 95 % interval of a share (0 to 1) of n independent samples; None for one sample.

    It is never 0 or 1 wide where the samples are few.
    """
    if n < 2:
        return None, None
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


def _drawn(rng: np.random.Generator, resamples: int, n: int) -> Integer[np.ndarray, "resamples n"]:
    """How often each of n was drawn in n draws, for each resample."""
    draws = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(draws.ravel(), minlength=resamples * n).reshape(resamples, n)
