"""Student's distribution against published quantiles and against the intervals' own."""

import numpy as np
import pytest

from keepmap.core.intervals import t_quantile
from keepmap.core.statistics.student import student_quantile, student_tail


@pytest.mark.parametrize(
    ("share", "freedom", "quantile"),
    [(0.95, 1, 6.313752), (0.8, 2, 1.060660), (0.995, 4, 4.604095), (0.9995, 10, 4.586894), (0.99, 200, 2.345137)],
)
def test_quantiles(share: float, freedom: int, quantile: float) -> None:
    assert student_quantile(share, freedom) == pytest.approx(quantile, abs=1e-6)
    tail = student_tail(np.array([quantile, -quantile]), freedom)
    assert tail == pytest.approx([1 - share, share], rel=1e-5)


@pytest.mark.parametrize("freedom", [1, 2.4, 3, 9.5, 50, 1000])
def test_the_quantile_of_the_intervals_is_the_same(freedom: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(t_quantile(freedom), abs=1e-3)


def test_far_tails_are_small_and_not_nothing() -> None:
    # Of 1 and 2 degrees of freedom, in closed form.
    t = np.array([1e-9, 0.3, 40.0, 1e5])
    np.testing.assert_allclose(student_tail(t, 1), np.arctan2(1, t) / np.pi, rtol=1e-9)
    np.testing.assert_allclose(student_tail(t[:3], 2), (1 - t[:3] / np.sqrt(2 + t[:3] ** 2)) / 2, rtol=1e-9)
    assert 0 < student_tail(np.array([30.0]), 30)[0] < 1e-20
    assert student_tail(np.array([np.inf, -np.inf]), 5).tolist() == [0.0, 1.0]
