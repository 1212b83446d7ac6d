"""Intervals against published quantiles and slow bootstraps, and by how often they hold what they should."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.core import intervals
from keepmap.core.intervals import (
    bootstrap_interval,
    bootstrap_means,
    bootstrap_ratio,
    share_interval,
    t_interval,
    t_quantile,
)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (7, 2.3646), (10, 2.2281), (29, 2.0452)],
)
def test_student_s_quantile(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=1e-3)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_a_mean_is_in_its_interval_nineteen_times_of_twenty(n: int) -> None:
    drawn = np.random.default_rng(n).normal(3, 2, (4000, n))
    inside = sum(low <= 3 <= high for low, high in map(t_interval, drawn) if low is not None and high is not None)
    assert 0.94 < inside / 4000 < 0.96


def test_wilson_s_interval() -> None:
    assert share_interval(1.0, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert share_interval(0.0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert share_interval(0.5, 20) == (pytest.approx(0.2993, abs=1e-4), pytest.approx(0.7007, abs=1e-4))


def test_one_sample_has_none() -> None:
    assert t_interval(np.array([1.0])) == (None, None)
    assert share_interval(1.0, 1) == (None, None)


def test_the_bootstrap_is_the_slow_one():
    """Sampling noise of 10,000 resamples is about 2 % of the interval's width at its ends."""
    differences, tokens = [2.0, 10.0, -1.0, 5.0, -3.0], [20, 100, 10, 40, 60]
    low, high = bootstrap_interval(differences, tokens, seed=1)
    rng = random.Random(7)
    ratios = []
    for _ in range(10_000):
        drawn = [rng.randrange(5) for _ in range(5)]
        ratios.append(sum(differences[i] for i in drawn) / sum(tokens[i] for i in drawn))
    ratios.sort()
    width = ratios[9750] - ratios[250]
    assert low == pytest.approx(ratios[250], abs=0.05 * width)
    assert high == pytest.approx(ratios[9750], abs=0.05 * width)
    assert low < sum(differences) / sum(tokens) < high


def test_the_bootstrap_is_seeded_and_paired():
    many = [math.sin(index) for index in range(20)], list(range(10, 30))
    assert bootstrap_interval(*many, 3) == bootstrap_interval(*many, 3)
    assert bootstrap_interval(*many, 3) != bootstrap_interval(*many, 4)
    assert bootstrap_interval([1.0, 2.0, 3.0], [10, 20, 30], -1) == (pytest.approx(0.1), pytest.approx(0.1))


def test_the_resamples_are_drawn_as_said(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 3)
    rng = np.random.default_rng(5)
    d, t = np.array([1.0, 5.0, -2.0]), np.array([3, 4, 5])
    ratios = [d[i].sum() / t[i].sum() for i in (rng.integers(3, size=3) for _ in range(3))]
    assert bootstrap_interval([1.0, 5.0, -2.0], [3, 4, 5], 5) == tuple(np.quantile(ratios, [0.025, 0.975]))


def test_the_bootstrap_over_goals_is_that_of_the_comparison() -> None:
    """Same statistic, other draws: 10,000 resamples agree to 2 % of the interval's width."""
    means = np.array([3.0, 8.0, 1.0, 4.0, 9.0, 2.0])
    low, high = bootstrap_means(means[None, :, None], seed=1)
    assert low is not None and high is not None
    other = bootstrap_interval(means.tolist(), [1] * 6, seed=2)
    assert other[0] is not None and other[1] is not None
    width = other[1] - other[0]
    assert (low[0], high[0]) == (pytest.approx(other[0], abs=0.04 * width), pytest.approx(other[1], abs=0.04 * width))


def test_seeds_and_goals_are_drawn_apart() -> None:
    """Against pairs drawn one by one. Pairs drawn as if independent would give less than half the width."""
    rng = random.Random(3)
    values = np.add.outer(10.0 * np.arange(3), np.arange(4.0))  # a seed shifts all of its goals
    means = []
    for _ in range(10_000):
        seeds, goals = [rng.randrange(3) for _ in range(3)], [rng.randrange(4) for _ in range(4)]
        means.append(sum(values[s, g] for s in seeds for g in goals) / 12)
    slow = np.quantile(means, [0.025, 0.975])
    low, high = bootstrap_means(values[:, :, None], seed=0)
    assert low is not None and high is not None
    assert [low[0], high[0]] == pytest.approx(slow, abs=0.05 * (slow[1] - slow[0]))
    drawn = values.ravel()[np.random.default_rng(0).integers(12, size=(10_000, 12))].mean(1)
    assert np.ptp(np.quantile(drawn, [0.025, 0.975])) < 0.75 * (slow[1] - slow[0])


def test_few_resamples_at_once_are_as_good_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((2, 5, 3))
    many = bootstrap_means(values, 7)
    monkeypatch.setattr(intervals, "AT_ONCE", 25)
    few = bootstrap_means(values, 7)
    for a, b in zip(many, few, strict=True):
        np.testing.assert_allclose(a, b, atol=0.03)
    again = bootstrap_means(values, 7)
    assert all((a == b).all() for a, b in zip(few, again, strict=True))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**70))
def test_an_interval_holds_a_constant_and_lies_within_the_values(seeds: int, goals: int, seed: int) -> None:
    values = np.random.default_rng(seeds).random((seeds, goals, 2))
    low, high = bootstrap_means(values, seed)
    if seeds * goals == 1:
        assert low is None and high is None
        return
    assert low is not None and high is not None
    assert (low <= high).all() and (values.min() <= low + 1e-12).all() and (high <= values.max() + 1e-12).all()
    same, _ = bootstrap_means(np.full((seeds, goals, 2), 3.0), seed)
    assert same is not None and (same == 3).all()


def test_the_interval_of_a_share_is_paired() -> None:
    before = np.array([[2.0, 10.0, 18.0]])
    assert bootstrap_ratio(0.5 * before, before, 0) == pytest.approx((0.5, 0.5))
    low, high = bootstrap_ratio(before[:, ::-1].copy(), before, 0)
    assert low is not None and high is not None and low < 0.5 < 1.5 < high
    assert bootstrap_ratio(before[:, :1], before[:, :1], 0) == (None, None)
    assert bootstrap_ratio(before, np.array([[0.0, 0.0, 1.0]]), 0) == (None, None)
