"""Planning backwards equals trying everything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.agents.families.planning import planned_returns
from tests.reference.families import returns_of


@given(seed=st.integers(0, 2**32), horizon=st.integers(1, 6), shared=st.booleans())
def test_any_small_world_equals_the_obvious_form(seed: int, horizon: int, shared: bool) -> None:
    draws = np.random.default_rng(seed)
    n, states, actions, ways = 3, 4, 2, 2
    successors = draws.integers(states, size=(1 if shared else n, states, actions, ways))
    chances = draws.dirichlet(np.ones(ways), size=successors.shape[:3])
    rewards = draws.integers(-1, 3, size=(n, states, actions, ways)).astype(float)
    starts = draws.dirichlet(np.ones(states), size=n)
    best, random = planned_returns(successors, chances, rewards, starts, horizon)
    for number in range(n):
        world = 0 if shared else number

        def ways_of(state: int, world: int = world, number: int = number) -> list:
            parts = (chances[world, state], successors[world, state], rewards[number, state])
            return [list(zip(*(part[action].tolist() for part in parts), strict=True)) for action in range(actions)]

        slow = [returns_of(ways_of, state, horizon)[:2] for state in range(states)]
        expected = starts[number] @ np.array(slow)
        assert (best[number], random[number]) == pytest.approx(tuple(expected))
