"""What to expect of rooms, against their optimum in closed form and rollouts; of families, their own returns."""

import numpy as np
import pytest

from keepmap.agents.environments import environments, room_named
from keepmap.agents.families import copies_of, expected_returns, make_family


@pytest.mark.parametrize("name", environments())
def test_the_best_of_a_room_is_its_optimum_and_the_random_one_that_of_rollouts(name: str) -> None:
    room = room_named(name, size=4, horizon=9)
    goals = [room.goals[len(room.goals) // 3], room.goals[-2]]
    best, random = expected_returns(room, goals, 40)
    np.testing.assert_allclose(best[:, 0], [room.optimum(goal) for goal in goals])
    envs, draws, total = copies_of(room, [goal for goal in goals for _ in range(4000)]), np.random.default_rng(0), 0.0
    envs.reset(seed=0)
    for _ in range(room.horizon):
        total = total + envs.step(draws.integers(0, 5, envs.num_envs))[1]
    rolled = np.reshape(total, (2, 4000))
    assert (np.abs(rolled.mean(1) - random[:, 0]) < 4 * rolled.std(1) / np.sqrt(4000) + 1e-9).all()


def test_a_family_has_those_of_its_first_episodes() -> None:
    family = make_family("moving_goal", size=5)
    best, random = expected_returns(family, [(3,), (40,)], 12)
    np.testing.assert_array_equal(best, family.optimal_return([3, 40])[:, :12])
    np.testing.assert_array_equal(random, family.random_return([3, 40])[:, :12])
