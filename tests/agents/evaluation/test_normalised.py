"""Returns between a random and the best agent: of the end, of each episode, and None where there is nothing between."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.agents.evaluation.normalised import end_of_life, normalised_returns


def test_a_random_agent_has_nothing_and_the_best_one_has_all() -> None:
    best, random = np.full((4, 8), 5.0), np.full((4, 8), 1.0)
    for returns, share in ((best, 1.0), (random, 0.0), ((best + random) / 2, 0.5)):
        normalised = normalised_returns(returns[:, None], best, random)
        assert normalised is not None and (normalised.mean, normalised.middle.value) == (share, share)
        assert normalised.curve == (share,) * 8 and normalised.end == (7, 8)


@given(st.integers(1, 600))
def test_the_end_is_the_last_quarter_and_twenty_episodes_at_most(episodes: int) -> None:
    first, last = end_of_life(episodes)
    assert last == episodes and 1 <= last - first + 1 <= 20
    assert last - first + 1 == max(1, min(20, episodes // 4))


def test_what_pays_in_one_episode_counts_there_alone() -> None:
    best, random = np.zeros((5, 8)), np.zeros((5, 8))
    best[:, -1], random[:, -1] = 1.0, 0.1
    returns = np.zeros((5, 2, 8))
    returns[:, 0, -1] = 1.0
    normalised = normalised_returns(returns, best, random)
    assert normalised is not None and normalised.mean == pytest.approx((0.5 - 0.1) / 0.9)
    assert np.isnan(normalised.curve[:7]).all() and normalised.curve[7] == pytest.approx(normalised.mean)
    assert normalised.adaptation.episodes is None and normalised.adaptation.drop == 0
    assert normalised.adaptation.regret == pytest.approx(0.5)
    assert normalised_returns(returns, best, random, (1, 4)) is None


def test_how_an_agent_came_there() -> None:
    curve = np.array([0.2, 0.95, 0.4, 1.0, 1.0, 1.0, 1.0, 1.0])
    normalised = normalised_returns(np.tile(10 * curve, (3, 2, 1)), np.full((3, 1), 10.0), np.zeros((3, 1)))
    assert normalised is not None and normalised.adaptation.episodes == 2
    assert normalised.adaptation.drop == pytest.approx(0.55) and normalised.adaptation.regret == pytest.approx(
        8 + 0.5 + 6
    )
