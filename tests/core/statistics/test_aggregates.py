"""Sums of tasks with the numbers that rliable gives (1.2.0) on the same arrays, and in the obvious way."""

import numpy as np
import pytest

from keepmap.core.statistics.aggregates import interquartile_mean, performance_profile, probability_of_improvement

A = np.random.default_rng(3).gamma(2.0, 0.3, (7, 5)).round(3)
B = np.random.default_rng(4).gamma(2.0, 0.25, (5, 5)).round(3)
B[0, 0], B[1, 0] = A[0, 0], A[2, 0]
THRESHOLDS = [0.0, 0.2, 0.5, 0.9, 1.5]


def test_rliable_s_numbers() -> None:
    assert interquartile_mean(A).value == pytest.approx(0.5393684210526315, abs=1e-12)
    assert interquartile_mean(B).value == pytest.approx(0.4307692307692308, abs=1e-12)
    expected = [1.0, 0.88571429, 0.57142857, 0.17142857, 0.05714286]
    assert performance_profile(A, THRESHOLDS) == pytest.approx(expected, abs=1e-8)
    assert probability_of_improvement(A, B).value == pytest.approx(0.5485714285714285, abs=1e-12)
    assert probability_of_improvement(B, A).value == pytest.approx(0.4514285714285714, abs=1e-12)


def test_rliable_s_intervals() -> None:
    """Of 20,000 and 5,000 draws of theirs; of 2,000 of ours an end is known to about a hundredth."""
    for summed, low, high in (
        (interquartile_mean(A), 0.4277, 0.6575),
        (interquartile_mean(A, draw_tasks=True), 0.4012, 0.6811),
        (probability_of_improvement(A, B), 0.3829, 0.7086),
    ):
        assert (summed.low, summed.high) == pytest.approx((low, high), abs=0.016)


def test_a_task_s_runs_are_drawn_by_themselves() -> None:
    """Tasks of one score each have no interval, however much they differ; unless tasks are drawn, too."""
    table = np.tile([0.1, 0.2, 0.6, 0.9], (5, 1))
    certain, drawn = interquartile_mean(table), interquartile_mean(table, draw_tasks=True)
    assert (certain.low, certain.high) == pytest.approx((0.4, 0.4))
    assert drawn.low is not None and drawn.high is not None and drawn.low < 0.3 < 0.6 < drawn.high


def test_a_tie_counts_as_half_and_a_single_run_has_no_interval() -> None:
    assert probability_of_improvement(A, A).value == pytest.approx(0.5)
    single = probability_of_improvement([[1.0, 0.0]], [[0.5, 0.5]])
    assert single.value == 0.5 and single.low is single.high is None
    assert interquartile_mean([[1.0, 3.0]]).value == 2.0 and interquartile_mean([[1.0]]).low is None
    assert repr(single) == "Aggregate(0.5000, 1 runs of 2 tasks)"


def test_outliers_do_not_move_the_middle() -> None:
    far = A.copy()
    far.reshape(-1)[far.argmax()] = 1e6
    assert interquartile_mean(far).value == interquartile_mean(A).value
    assert interquartile_mean(A) == interquartile_mean(A) != interquartile_mean(A, seed=1)


@pytest.mark.parametrize("block", [1, 100, 1 << 21])
def test_blocks_of_draws_are_all_draws(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr("keepmap.core.statistics.aggregates.AT_ONCE", block)
    monkeypatch.setattr("keepmap.core.statistics.aggregates.DRAWS", 300)
    summed = probability_of_improvement(A, B)
    assert (summed.low, summed.high) == pytest.approx((0.38, 0.71), abs=0.05)
