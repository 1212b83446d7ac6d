"""Q-learning: it rises to the optimum, repeats what was rewarded, and errs as long as it is told to."""

import pytest

from keepmap.agents.collection.source import make_source
from keepmap.agents.environments import room_named
from tests.agents.collection.streams import returns


def test_q_learning_rises_to_the_optimum():
    room = room_named("darkroom", size=5, horizon=12)
    result = returns(make_source("q_learning").learn(room, room.goals, 8, 120, 0), 12).mean(axis=1)
    optimum = sum(map(room.optimum, room.goals)) / 25
    assert result[0] < 0.4 * optimum
    assert result[:10].mean() < result[10:30].mean() < result[-10:].mean()
    assert result[-10:].mean() > 0.95 * optimum


@pytest.mark.parametrize(("epsilon", "epsilon_end", "from_episode"), [(0.0, 0.8, 0), (1.0, 0.5, 10), (1.0, 0.0, 0)])
def test_what_was_rewarded_is_done_again(epsilon, epsilon_end, from_episode):
    """A learner that believes its last reward alone: 1 for an action that was rewarded, 0 for one that was not."""
    options = {"learning_rate": 1.0, "discount": 0.0, "optimism": 0.5, "epsilon": epsilon, "epsilon_end": epsilon_end}
    room, goal = room_named("darkroom", size=3, horizon=10), (0, 1)
    streams = make_source("q_learning", options).learn(room, [goal], 20, 20, 0)
    known, repeated, erred = [set() for _ in range(20)], 0, 0
    for step, (cells, rewards) in enumerate(zip(streams.states.tolist(), streams.rewards.tolist(), strict=True)):
        for learner, (cell, reward) in enumerate(zip(cells, rewards, strict=True)):
            if tuple(cell) in known[learner]:
                repeated += reward
                erred += not reward and step >= 10 * from_episode
            if reward:
                known[learner].add(tuple(cell))
    assert repeated > 200 and erred == 0


def test_epsilon_makes_it_err_and_falls_to_nothing():
    room = room_named("darkroom", size=3, horizon=10)
    options = {"epsilon": 1.0, "epsilon_end": 1.0}
    earned = returns(make_source("q_learning", options).learn(room, room.goals, 20, 60, 0), 10).mean(1)
    exact = returns(make_source("q_learning", {"epsilon": 0.0}).learn(room, room.goals, 20, 60, 0), 10).mean(1)
    assert earned[5:20].mean() < 0.7 * exact[5:20].mean()
    assert earned[-5:].mean() > 0.9 * exact[-5:].mean()
