"""The optimistic learner: what it has not seen is worth a try, and what it has found it goes back to."""

import numpy as np
import pytest

from keepmap.agents.collection.source import make_source
from keepmap.agents.environments import room_named
from tests.agents.collection.streams import returns


@pytest.mark.parametrize(
    ("environment", "episodes", "start", "end"),
    [("darkroom", 16, 0.3, 1.0), ("darkroom_permuted", 6, 0.3, 1.0), ("dark_key_to_door", 6, 0.6, 0.99)],
)
@pytest.mark.parametrize("know_moves", [False, True])
def test_the_optimistic_learner_gets_there_in_a_few_episodes(environment, episodes, start, end, know_moves):
    room = room_named(environment)
    goals = room.goals[:: len(room.goals) // 40]
    source = make_source("optimistic", {"know_moves": know_moves})
    result = returns(source.learn(room, goals, 4, episodes, 0), room.horizon)
    optima = np.repeat([room.optimum(goal) for goal in goals], 4)
    assert result[0].mean() < start * optima.mean()
    assert (result[-1] <= optima).all()
    assert result[-1].mean() >= end * optima.mean()


def test_a_large_room_is_searched_as_far_as_the_horizon_reaches():
    room = room_named("darkroom_hard")
    goals = room.goals[::12]
    result = returns(make_source("optimistic").learn(room, goals, 2, 30, 0), room.horizon)
    assert result[0].mean() < 0.3
    assert result[-1].mean() > 0.9


def test_epsilon_makes_the_optimistic_learner_err():
    room = room_named("darkroom", size=5)
    exact, erring = (
        returns(make_source("optimistic", {"epsilon": epsilon}).learn(room, room.goals, 2, 8, 0), 20)[-1]
        for epsilon in (0.0, 0.3)
    )
    assert erring.mean() < 0.8 * exact.mean()


def test_once_the_target_was_met_every_episode_goes_straight_to_it():
    room, goals = room_named("darkroom", size=5, horizon=20), [(0, 0), (4, 3), (2, 2)]
    streams = make_source("optimistic", {"know_moves": True}).learn(room, goals, 4, 8, 0)
    earned = returns(streams, 20)
    for learner in range(12):
        goal = goals[learner // 4]
        first = int(np.argmax(earned[:, learner] > 0))
        assert earned[first, learner] > 0
        assert (earned[first + 1 :, learner] == room.optimum(goal)).all(), "the moves were known, the target is"


def test_what_actions_do_is_found_out_where_the_goal_changes_it():
    room = room_named("darkroom_permuted", size=3, horizon=12)
    goals = room.goals[::17]
    knowing, finding = (
        returns(make_source("optimistic", {"know_moves": known}).learn(room, goals, 3, 6, 0), 12)
        for known in (True, False)
    )
    np.testing.assert_array_equal(knowing, finding)
    assert finding[0].mean() < finding[-1].mean() == np.mean([room.optimum(goal) for goal in goals])
