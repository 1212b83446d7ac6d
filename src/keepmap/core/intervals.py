"""95 % intervals that are right for few samples: Student's for a mean, Wilson's for a share."""

import math

import numpy as np
from jaxtyping import Float

__all__ = ["share_interval", "t_interval", "t_quantile"]

Z = 1.959963984540054
"""The normal distribution's quantile at 0.975."""

_FEW = (12.706204736, 4.302652730, 3.182446305, 2.776445105)
"""Student's for 1 to 4 degrees of freedom, where the expansion is not good enough."""


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
    """Of the mean of n independent values; None for one."""
    n = len(values)
    if n < 2:
        return None, None
    mean, half = float(values.mean()), t_quantile(n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return mean - half, mean + half


def share_interval(share: float, n: int) -> tuple[float, float] | tuple[None, None]:
    """Wilson's, of a share of n independent samples; None for one. It never says 0 or 100 % of few."""
    if n < 2:
        return None, None
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)
