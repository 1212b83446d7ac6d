"""Tests of paired differences: equal to the intervals' rule, to slow sums, and wrong as rarely as they say."""

import itertools
import math

import numpy as np
import pytest

from keepmap.core.intervals import mean_interval, ratio_interval
from keepmap.core.statistics.paired import Differences, sign_flips

RUNS = 2000
"""With 2,000 runs, a share of 5 % is measured to half a per cent: three of these are added where it is compared."""
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


def of_equal_weights(sums: np.ndarray) -> Differences:
    return Differences(sums, np.ones(len(sums)))


@pytest.mark.parametrize("seed", range(6))
def test_a_difference_is_beyond_nothing_where_its_interval_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums, weights = rng.lognormal(size=(7, 40)) - 1.6, rng.integers(1, 9, 7).astype(float)
    sums *= weights[:, None]
    given = Differences(sums, weights)
    low, high = given.intervals()
    for at in range(40):
        assert (low[at], high[at]) == pytest.approx(ratio_interval(sums[None, :, at], weights[None]))
    for value in (-0.5, 0.0, 0.3):
        far = np.minimum(np.abs(low - value), np.abs(high - value)) > 1e-3  # the intervals' quantile is good to that
        np.testing.assert_array_equal((given.above(value) < 0.025)[far], (low > value)[far])
        np.testing.assert_array_equal((given.below(value) < 0.025)[far], (high < value)[far])


def test_of_equal_differences_there_is_no_error() -> None:
    given = of_equal_weights(np.full((5, 3), 0.1) * [0, 1, -1])
    assert given.error.tolist() == [0, 0, 0]
    assert given.above(0.0).tolist() == [0.5, 0.0, 1.0] and given.below(0.0).tolist() == [0.5, 1.0, 0.0]
    assert given.below(0.1 * (1 + 1e-6)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("n", [4, 8, 12, 30])
@pytest.mark.parametrize("level", [0.05, 0.05 / 6])
def test_the_detectable_difference_is_found_in_about_four_of_five(n: int, level: float) -> None:
    """By Student's degrees of freedom alone it would be found in half of the cases at n=4."""
    noise = np.random.default_rng(n).normal(size=(n, RUNS))
    unit = noise / noise.std(axis=0, ddof=1) / math.sqrt(n)
    size = float(of_equal_weights(unit - unit.mean(0)).detectable(level)[0]) / float(of_equal_weights(unit).error[0])
    given = of_equal_weights(noise + size / math.sqrt(n))
    assert 0.7 < (2 * given.above(0.0) <= level).mean() < 0.9


@pytest.mark.parametrize("sums", [[1, -1, 1, 1], [0, 0, 1], [3, -1, 2, 0, 1], [2, 2, 2, 2, 2], [1] * 9 + [-1], [4]])
def test_sign_flips_equal_the_sum_over_all_signs(sums: list[int]) -> None:
    far = abs(sum(sums))
    signs = list(itertools.product((1, -1), repeat=len(sums)))
    slow = sum(abs(sum(s * x for s, x in zip(sign, sums, strict=True))) >= far for sign in signs) / len(signs)
    assert sign_flips(np.array(sums, dtype=float)) == pytest.approx(slow)


def test_mcnemar_s_exact_test() -> None:
    # 10 to one side and 2 to the other: 2 * (1 + 12 + 66) / 2 ** 12.
    assert sign_flips(np.array([1.0] * 10 + [-1.0] * 2 + [0.0] * 50)) == pytest.approx(2 * 79 / 4096)
    assert sign_flips(np.zeros(5)) == 1.0
    assert sign_flips(np.ones(2000)) < 1e-300 or sign_flips(np.ones(2000)) == 0.0


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("draw", ["normal", "lognormal", "t"])
def test_methods_that_do_not_differ_rarely_beat_each_other(draw: str, n: int) -> None:
    rng = np.random.default_rng(n)
    first, second = (
        {
            "normal": lambda: rng.normal(size=(n, RUNS)),
            "lognormal": lambda: rng.lognormal(size=(n, RUNS)),
            "t": lambda: rng.standard_t(2, size=(n, RUNS)),
        }[draw]()
        for _ in range(2)
    )
    given = of_equal_weights(first - second)
    assert (2 * np.minimum(given.above(0.0), given.below(0.0)) <= 0.05).mean() <= MOST


def test_questions_about_one_context_are_no_independent_samples() -> None:
    """Eight contexts of five questions that share a shift: taken as 40 samples, a third of all pairs would "differ"."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(8, 1, RUNS)) + 0.5 * rng.normal(size=(8, 5, RUNS))

    def wrong(given: Differences) -> float:
        return float((2 * np.minimum(given.above(0.0), given.below(0.0)) <= 0.05).mean())

    assert wrong(Differences(values.sum(1), np.full(8, 5.0))) <= MOST
    assert wrong(of_equal_weights(values.reshape(40, RUNS))) > 0.3


@pytest.mark.parametrize("n", [20, 40, 62, 100])
@pytest.mark.parametrize("shares", [(0.05, 0.0), (0.1, 0.0), (0.15, 0.05), (0.4, 0.3)])
def test_zeros_and_ones_that_differ_by_the_margin_are_rarely_equal(shares: tuple[float, float], n: int) -> None:
    """Without the clusters that are added, 20 samples that all agree would be equal within 0.05, however rarely so."""
    rng, margin = np.random.default_rng(n), shares[0] - shares[1]
    u = rng.random((n, RUNS))
    sums = np.where(u < shares[0], 1.0, np.where(u < sum(shares), -1.0, 0.0))
    given = of_equal_weights(sums).padded()
    assert (np.maximum(given.above(-margin), given.below(margin)) <= 0.05).mean() <= MOST
    agreeing = of_equal_weights(np.zeros((n, 1)))
    assert agreeing.below(margin)[0] == 0.0 < agreeing.padded().below(margin)[0]


@pytest.mark.parametrize("n", [3, 10, 30])
@pytest.mark.parametrize("scale", [0.03, 0.1, 0.3])
def test_scores_that_differ_by_the_margin_are_rarely_equal(scale: float, n: int) -> None:
    given = of_equal_weights(0.1 + scale * np.random.default_rng(n).normal(size=(n, RUNS)))
    assert (np.maximum(given.above(-0.1), given.below(0.1)) <= 0.05).mean() <= MOST


def test_padding_keeps_what_it_is_of() -> None:
    given = Differences(np.array([[2.0], [0.0], [-1.0]]), np.array([2.0, 2.0, 2.0])).padded()
    assert given.sums[:, 0].tolist() == [2, 0, -1, 2, 2, -2, -2] and given.weights.tolist() == [2.0] * 7
    assert given.mean[0] == pytest.approx(1 / 14)
    assert given.intervals()[0][0] == pytest.approx(mean_interval(given.sums[:, 0] / 2)[0])
