"""One room as an environment: what the reference does, episode after episode, with a goal that is given or drawn."""

import gymnasium
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.single import RoomEnv
from keepmap.errors import InputError
from tests.reference.rooms import walk

NAME = "keepmap/DarkRoom-9x9-v0"


@given(data=st.data())
def test_a_step_does_what_the_reference_does(data):
    name = data.draw(st.sampled_from(sorted(environments())))
    room = room_named(name, size=data.draw(st.integers(2, 5)), horizon=data.draw(st.integers(1, 12)))
    goal = data.draw(st.sampled_from(room.goals))
    actions = data.draw(st.lists(st.integers(0, 4), min_size=room.horizon, max_size=room.horizon))
    env = RoomEnv(room, goal)
    for _ in range(2):  # nothing of the first episode stays for the second
        start, info = env.reset(seed=data.draw(st.integers(0, 99)))
        assert info == {} and tuple(start.tolist()) in room.all_starts()
        expected = walk(name, room.size, goal, tuple(start.tolist()), actions)
        for step, (action, (cell, reward)) in enumerate(zip(actions, expected, strict=True), 1):
            observed, earned, terminated, truncated, info = env.step(action)
            assert (tuple(observed.tolist()), earned, info) == (cell, reward, {})
            assert (terminated, truncated) == (False, step == room.horizon)
    assert env.goal == goal


def test_a_drawn_goal_stays_until_a_reset_with_a_seed():
    env = gymnasium.make(NAME).unwrapped
    assert env.goal is None
    env.reset(seed=1)
    first = env.goal
    for _ in range(5):
        env.reset()
        assert env.goal == first
    assert {env.reset(seed=seed) and env.goal for seed in range(30)} > {first}
    env.reset(seed=1)
    assert env.goal == first


def test_what_is_seen_is_a_copy():
    env = RoomEnv(room_named("darkroom"), (0, 0))
    first, _ = env.reset(seed=0)
    first[:] = 7
    assert env.step(0)[0].tolist() == [5, 4]


@pytest.mark.parametrize("action", [5, -1, 1.5, None])
def test_an_action_that_there_is_not_is_refused(action):
    env = RoomEnv(room_named("darkroom"), None)
    env.reset()
    with pytest.raises(InputError, match="expected `action` to be 0 to 4, got "):
        env.step(action)


def test_a_step_before_a_reset_and_a_goal_of_no_room_are_refused():
    with pytest.raises(InputError, match="step was called before reset; call reset first"):
        RoomEnv(room_named("darkroom"), (0, 0)).step(0)
    with pytest.raises(InputError, match="expected `goal` to be one of darkroom"):
        RoomEnv(room_named("darkroom"), (9, 0))
