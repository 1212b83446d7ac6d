"""Sources of histories: they learn, they see no goal, and what they record is what the room does."""

from dataclasses import fields

import numpy as np
import pytest

from keepmap.agents.collection.source import make_source
from keepmap.agents.environments import environments, room_named
from tests.reference.rooms import walk

ARRAY_SOURCES = ("optimistic", "q_learning")


@pytest.mark.parametrize("name", ARRAY_SOURCES)
@pytest.mark.parametrize("environment", sorted(environments()))
def test_what_is_recorded_is_what_the_room_does(name, environment):
    room = room_named(environment, size=4, horizon=7)
    goals = room.goals[:: len(room.goals) // 3]
    streams = make_source(name).learn(room, goals, 2, 3, 5)
    assert streams.actions.shape == (21, 2 * len(goals))
    for learner in range(2 * len(goals)):
        goal = goals[learner // 2]
        for first in range(0, 21, 7):
            rows = slice(first, first + 7)
            start = tuple(streams.states[first, learner].tolist())
            assert start in room.all_starts()
            seen = walk(environment, 4, goal, start, streams.actions[rows, learner].tolist())
            after = [tuple(cell) for cell in streams.next_states[rows, learner].tolist()]
            assert [
                (cell, int(reward)) for cell, reward in zip(after, streams.rewards[rows, learner], strict=True)
            ] == seen
            np.testing.assert_array_equal(streams.states[first + 1 : first + 7, learner], after[:-1])
            assert streams.dones[rows, learner].tolist() == [False] * 6 + [True]


@pytest.mark.parametrize("name", ARRAY_SOURCES)
def test_a_goals_learners_depend_on_no_other_goal(name):
    room = room_named("darkroom", size=5)
    together = make_source(name).learn(room, room.goals[:4], 3, 4, 1)
    alone = make_source(name).learn(room, room.goals[2:3], 3, 4, 1)
    other = make_source(name).learn(room, room.goals[2:3], 3, 4, 2)
    for entry in fields(alone):
        np.testing.assert_array_equal(getattr(together, entry.name)[:, 6:9], getattr(alone, entry.name))
    assert not np.array_equal(alone.actions, other.actions)
    # ... and no two learners are the same, of one goal or of two, before they have found anything.
    assert len({together.actions[:4, learner].tobytes() for learner in range(12)}) > 6


@pytest.mark.parametrize("name", ARRAY_SOURCES)
def test_before_its_first_reward_a_learner_knows_nothing_of_its_goal(name):
    """Two goals, the same draws: the learners act alike until one of them is rewarded."""
    room = room_named("darkroom", size=5)

    class Renamed(type(room)):
        """The same room, whose goals all have the number 0 and so the same draws."""

        def index(self, goal):
            return 0

    streams = make_source(name).learn(Renamed(5, 20), [(0, 0), (4, 4)], 8, 3, 0)
    for learner in range(8):
        first = min(
            int(np.argmax(rewards)) if rewards.any() else len(rewards)
            for rewards in (streams.rewards[:, learner], streams.rewards[:, learner + 8])
        )
        assert first > 0
        np.testing.assert_array_equal(streams.actions[: first + 1, learner], streams.actions[: first + 1, learner + 8])
