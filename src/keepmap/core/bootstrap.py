"""How sure a mean is: 95 % percentile intervals by resampling what was sampled (texts, goals, training seeds)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer

__all__ = ["bootstrap_interval", "bootstrap_means", "bootstrap_ratio"]

RESAMPLES = 10_000
INTERVAL = (0.025, 0.975)
AT_ONCE = 2**21  # weights of resamples in memory


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
        some = means[first : first + at_once]
        weights = _drawn(rng, len(some), seeds)[:, :, None] * _drawn(rng, len(some), goals)[:, None, :]
        some[:] = weights.reshape(len(some), -1) @ values.reshape(-1, n) / (seeds * goals)
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
    of_values, of_before = ((weights * one).sum((1, 2)) for one in (values, before))
    if (of_before <= 0).any():
        return None, None
    low, high = np.quantile(of_values / of_before, INTERVAL)
    return float(low), float(high)


def _drawn(rng: np.random.Generator, resamples: int, n: int) -> Integer[np.ndarray, "resamples n"]:
    """How often each of n was drawn in n draws, for each resample."""
    draws = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(draws.ravel(), minlength=resamples * n).reshape(resamples, n)
