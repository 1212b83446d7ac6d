"""Intervals against published quantiles and slow ways to the same ends, and by how often they hold what they should."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.core.intervals import (
    NOT_NEGATIVE,
    mean_interval,
    mean_intervals,
    ratio_interval,
    share_interval,
    t_quantile,
)

TRIALS = 20_000
LOGNORMAL = math.exp(0.5)
"""The mean of exp(a normal draw)."""

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
DRAWS: dict[str, tuple[Draw, float, float]] = {
    # How to draw, the true mean, and how often an interval must hold it.
    "normal": (lambda rng, shape: rng.normal(0.3, 2, shape), 0.3, 0.93),
    "exponential": (lambda rng, shape: rng.exponential(1, shape), 1.0, 0.90),
    "exponential, to the left": (lambda rng, shape: -rng.exponential(1, shape), -1.0, 0.90),
    "lognormal": (lambda rng, shape: rng.lognormal(0, 1, shape), LOGNORMAL, 0.90),
    "lognormal, to the left": (lambda rng, shape: -rng.lognormal(0, 1, shape), -LOGNORMAL, 0.90),
}


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [
        (1, 12.7062),
        (2, 4.3027),
        (3, 3.1824),
        (4, 2.7764),
        (4.999, 2.5708),
        (5, 2.5706),
        (7, 2.3646),
        (10, 2.2281),
        (29, 2.0452),
    ],
)
def test_student_s_quantile(freedom: float, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=1e-3)


def test_an_interval_ends_where_values_end() -> None:
    values = np.array([0.0, 0.0, 0.1, 0.9])
    low, high = mean_interval(values)
    assert low is not None and high is not None and low < 0 and high > 1
    assert mean_interval(values, (0.0, 1.0)) == (0.0, 1.0)
    assert mean_interval(values, NOT_NEGATIVE) == (0.0, high)
    several = mean_intervals(np.stack([values, 1 - values], axis=-1)[None], (0.0, 1.0))
    assert [ends.tolist() for ends in several if ends is not None] == [[0.0, 0.0], [1.0, 1.0]]
    low, high = ratio_interval(values[None], np.ones((1, 4)), NOT_NEGATIVE)
    assert low == 0.0 and high == pytest.approx(mean_interval(values)[1])


def test_a_fraction_of_a_degree_lies_between() -> None:
    assert t_quantile(2) > t_quantile(2.4) > t_quantile(2.6) > t_quantile(3)


@pytest.mark.parametrize("n", [3, 4, 5, 10, 30])
@pytest.mark.parametrize("draw", DRAWS)
def test_a_mean_is_in_its_interval_as_often_as_said(draw: str, n: int) -> None:
    """A percentile bootstrap of three normal values holds it in 75 %, Student's of five lognormal ones in 82 %."""
    drawn, mean, least = DRAWS[draw]
    low, high = mean_intervals(drawn(np.random.default_rng(n), (1, n, TRIALS)))
    assert low is not None and high is not None
    assert ((low <= mean) & (mean <= high)).mean() >= least


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize(("draw", "least"), [("normal", 0.93), ("exponential", 0.90)])
def test_a_ratio_is_in_its_interval_as_often_as_said(draw: str, least: float, n: int) -> None:
    """Samples of 200 to 4,200 tokens, and a cost per token of which each has its own."""
    drawn, mean, _ = DRAWS[draw]
    rng = np.random.default_rng(n)
    inside = 0
    for _ in range(1000):
        tokens = rng.integers(200, 4200, (1, n)).astype(np.float64)
        low, high = ratio_interval(tokens * (0.1 + 0.05 * drawn(rng, (1, n))), tokens)
        assert low is not None and high is not None
        inside += low <= 0.1 + 0.05 * mean <= high
    assert inside / 1000 >= least


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("effects", [(0, 1, 0), (0, 1, 1), (1, 1, 1), (1, 0.2, 0.2)])
@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_crossed_means_are_in_their_intervals_as_often_as_said(
    draw: str, effects: tuple[float, float, float], seeds: int
) -> None:
    """Over seeds and eight goals that have effects of their own. Taken as pairs that are independent: 40 % at worst."""
    drawn, mean, least = DRAWS[draw]
    rng = np.random.default_rng(seeds)
    shapes = [(seeds, 1, 3000), (1, 8, 3000), (seeds, 8, 3000)]
    values = np.zeros(shapes[-1])
    for size, shape in zip(effects, shapes, strict=True):
        values += size * (drawn(rng, shape) - mean)
    low, high = mean_intervals(values)
    assert low is not None and high is not None
    assert ((low <= 0) & (high >= 0)).mean() >= least


def test_of_fewer_than_three_there_is_none() -> None:
    assert mean_interval(np.array([])) == mean_interval(np.array([1.0])) == mean_interval(np.array([1.0, 2.0]))
    assert mean_interval(np.array([1.0, 2.0])) == (None, None)
    assert ratio_interval(np.array([[1.0, 2.0]]), np.array([[3.0, 3.0]])) == (None, None)
    assert mean_intervals(np.ones((2, 2, 4))) == (None, None)
    assert share_interval(1.0, 1) == (None, None)


def test_two_seeds_are_taken_as_they_are() -> None:
    """The interval is then over goals, of their means over those seeds; and the other way round."""
    values = np.random.default_rng(0).normal(size=(2, 6, 1))
    low, high = mean_intervals(values)
    assert low is not None and high is not None
    assert (low[0], high[0]) == pytest.approx(mean_interval(values.mean(0)[:, 0]))
    turned = mean_intervals(values.transpose(1, 0, 2))
    assert turned[0] is not None and turned[1] is not None
    assert (turned[0][0], turned[1][0]) == pytest.approx((low[0], high[0]))


@pytest.mark.parametrize(
    "values", [[1.0, 2.0, 9.0], [0.0, 1.0, 1.0, 1.0, 1.2], [-3.0, 4.0, 0.5, 0.25], [5.0, 6.0, 7.0]]
)
def test_the_ends_are_those_that_the_definition_has(values: list[float]) -> None:
    """Student's by hand; and Hall's transformation solved by halving, not by its inverse."""
    n, mean = len(values), math.fsum(values) / len(values)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    third = n**2 / ((n - 1) * (n - 2)) * math.fsum((value - mean) ** 3 for value in values) / n
    a = third / n**2 / error**3

    def solved(z: float) -> float:
        low, high = -1e6, 1e6
        for _ in range(200):
            t = (low + high) / 2
            if t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 < z:
                low = t
            else:
                high = t
        return (low + high) / 2

    ends = [mean - t_quantile(n - 1) * error, mean + t_quantile(n - 1) * error]
    if a > 1e-9:
        ends[1] = max(ends[1], mean - solved(-t_quantile(n - 2)) * error)
    elif a < -1e-9:
        ends[0] = min(ends[0], mean - solved(t_quantile(n - 2)) * error)
    assert mean_interval(np.array(values)) == pytest.approx(ends)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(3, 5), st.integers(0, 2**70))
def test_an_interval_holds_its_mean_and_follows_shifts_and_signs(seeds: int, goals: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((seeds, goals, 2))
    low, high = mean_intervals(values)
    assert low is not None and high is not None
    assert (low <= values.mean((0, 1))).all() and (values.mean((0, 1)) <= high).all()
    shifted = mean_intervals(7 - 2 * values)
    assert shifted[0] is not None and shifted[1] is not None
    np.testing.assert_allclose(shifted, (7 - 2 * high, 7 - 2 * low))
    same, other = mean_intervals(np.full((seeds, goals, 2), 3.0))
    assert same is not None and other is not None and (same == 3).all() and (other == 3).all()


def test_the_interval_of_a_ratio_is_paired() -> None:
    before = np.array([[2.0, 10.0, 18.0]])
    assert ratio_interval(0.5 * before, before) == pytest.approx((0.5, 0.5))
    low, high = ratio_interval(before[:, ::-1].copy(), before)
    assert low is not None and high is not None and low < 0.2 < 1 < 2 < high
    assert ratio_interval(before, np.array([[0.0, 0.0, 1.0]])) == (None, None)
    assert ratio_interval(before, np.zeros((1, 3))) == (None, None)


def test_the_interval_of_a_ratio_is_that_of_what_each_sample_moves() -> None:
    """Of equal samples, the interval of the mean; of others, that of the jackknife's ratios, one left out each."""
    values, tokens = np.array([[2.0, 10.0, -1.0, 5.0, -3.0]]), np.array([[20.0, 100.0, 10.0, 40.0, 60.0]])
    equal = ratio_interval(values, np.full((1, 5), 10.0))
    assert equal == pytest.approx(mean_interval(values[0] / 10))
    ratio = values.sum() / tokens.sum()
    left_out = [
        np.delete(values[0], index).sum() / np.delete(tokens[0], index).sum() for index in range(values.shape[1])
    ]
    low, high = mean_interval(4 * (np.mean(left_out) - np.array(left_out)))
    assert low is not None and high is not None
    assert ratio_interval(values, tokens) == pytest.approx((ratio + low, ratio + high))


def test_wilson_s_interval() -> None:
    assert share_interval(1.0, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert share_interval(0.0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert share_interval(0.5, 20) == (pytest.approx(0.2993, abs=1e-4), pytest.approx(0.7007, abs=1e-4))


@pytest.mark.parametrize("size", [1e-140, 1e-93, 1e-20, 1e20, 1e90])
def test_an_interval_grows_with_its_values_however_small_or_large(size: float) -> None:
    values = np.array([0.2, 1.0, 1.1, 4.0])
    np.testing.assert_allclose(mean_interval(values * size), np.array(mean_interval(values)) * size, rtol=1e-9)
