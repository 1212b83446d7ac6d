"""Intervals for few samples against published quantiles, and by how often they hold what they should."""

import numpy as np
import pytest

from keepmap.core.intervals import share_interval, t_interval, t_quantile


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
