"""The critical footprint against a slow way to it, and the bootstrap's interval against resampling by hand."""

import numpy as np
import pytest

from keepmap.core.statistics.footprint import critical_footprint

FULL = [1.0, 1.0, 0.0, 1.0, 1.0]
HELD = [0.1, 0.3, 0.6]


def slow(held: list[float], means: list[float], full: float, share: float) -> float:
    """Walk down from the full cache in small steps, until the curve is below."""
    at = 1.0
    while at > held[0] and np.interp(at, [*held, 1.0], [*means, full]) >= share * full - 1e-12:
        at -= 1e-5
    return max(at, held[0])


@pytest.mark.parametrize("means", [(0.2, 0.5, 0.7), (0.75, 0.1, 0.78), (0.72, 0.9, 0.95), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_it_is_the_first_place_below_from_the_full_cache_down(means: tuple[float, ...], share: float) -> None:
    rows = np.tile(means, (5, 1)) + np.linspace(-0.1, 0.1, 5)[:, None]
    critical = critical_footprint(HELD, rows, FULL, share=share)
    assert critical.footprint == pytest.approx(slow(HELD, list(means), 0.8, share), abs=2e-5)
    assert critical.at_most == (min(means) >= share * 0.8)
    turned = critical_footprint(HELD[::-1], rows[:, ::-1], FULL, share=share)
    assert turned == critical


def test_its_interval_is_of_clusters_that_are_drawn() -> None:
    rng = np.random.default_rng(0)
    full = rng.uniform(0.5, 1, 12)
    rows = full[:, None] * np.clip(np.array([0.4, 0.8, 0.95]) + 0.2 * rng.normal(size=(12, 3)), 0, 1)
    contexts = np.repeat(np.arange(4), 3)
    critical = critical_footprint(HELD, rows, full, clusters=contexts)
    drawn = []
    for _ in range(600):
        at = np.concatenate([np.flatnonzero(contexts == cluster) for cluster in rng.integers(4, size=4)])
        drawn.append(critical_footprint(HELD, rows[at], full[at], clusters=[0] * 12).footprint)
    assert (critical.low, critical.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)
    assert critical.n == 12 and critical.n_clusters == 4
    assert critical == critical_footprint(HELD, rows, full, clusters=contexts)
    few = critical_footprint(HELD, rows, full, clusters=[0] * 6 + [1] * 6)
    assert few.low is few.high is None and "n=2]" in repr(few)


def test_it_shows_what_it_says() -> None:
    critical = critical_footprint([0.2, 0.5], np.ones((4, 2)), np.ones(4))
    assert repr(critical) == "CriticalFootprint(<= 0.200 [0.200 .. 0.200, n=4] keeps 90% of the full score)"
