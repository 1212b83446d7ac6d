"""Student's distribution: its tail and its quantiles, for 1 degree of freedom or more.

Reference: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.1 and 26.5.8 (the continued fraction).
"""

import math
from functools import cache

import numpy as np
from jaxtyping import Float

__all__ = ["student_quantile", "student_tail"]

_STEPS = 200
_TINY = 1e-300


def student_tail(t: Float[np.ndarray, " P"], freedom: float | int) -> Float[np.ndarray, " P"]:
    """The probability of more than t; of t = inf, 0.

    >>> student_tail(np.array([0.0, 2.2621572, np.inf]), 9).round(6).tolist()
    [0.5, 0.025, 0.0]
    """
    x = freedom / (freedom + np.minimum(t**2, 1e300))
    half = 0.5 * _incomplete_beta(freedom / 2, 0.5, x)
    half = np.where(np.isinf(t), 0.0, half)
    return np.where(t >= 0, half, 1 - half)


@cache
def student_quantile(share: float, freedom: float | int) -> float:
    """Below which `share` of the distribution lies; the share is above 0.5 and below 1.

    >>> round(student_quantile(0.975, 9), 4)
    2.2622
    """
    low, high = 0.0, 1.0
    while float(student_tail(np.array([high]), freedom)[0]) > 1 - share:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if float(student_tail(np.array([middle]), freedom)[0]) > 1 - share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """I_x(a, b), by whichever of x and 1 - x the fraction converges faster."""
    turned = x > (a + 1) / (a + b + 2)
    near = np.where(turned, 1 - x, x)
    first, second = np.where(turned, b, a), np.where(turned, a, b)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    with np.errstate(divide="ignore"):
        front = np.exp(first * np.log(near) + second * np.log1p(-near) - log_beta) / first
    value = front * _fraction(first, second, near)
    return np.clip(np.where(turned, 1 - value, value), 0.0, 1.0)


def _fraction(
    a: Float[np.ndarray, " P"], b: Float[np.ndarray, " P"], x: Float[np.ndarray, " P"]
) -> Float[np.ndarray, " P"]:
    """The continued fraction of the incomplete beta function, by Lentz's way."""
    c, d = np.ones_like(x), 1 - (a + b) * x / (a + 1)
    d = 1 / np.where(np.abs(d) < _TINY, _TINY, d)
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 + term * d
            d = 1 / np.where(np.abs(d) < _TINY, _TINY, d)
            c = 1 + term / c
            c = np.where(np.abs(c) < _TINY, _TINY, c)
            value = value * d * c
        if bool((np.abs(d * c - 1) < 1e-14).all()):
            break
    return value
