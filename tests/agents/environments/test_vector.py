"""Many copies of a room at once equal as many environments, step for step."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st

from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.single import RoomEnv
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.errors import InputError

IDS = tuple(room.gymnasium_id for room in environments().values())


@given(data=st.data())
def test_a_vector_equals_single_environments_step_for_step(data):
    name = data.draw(st.sampled_from(sorted(environments())))
    room = room_named(name, size=data.draw(st.integers(2, 5)), horizon=data.draw(st.integers(1, 7)))
    n, seed = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 999))
    goals = data.draw(st.none() | st.lists(st.sampled_from(room.goals), min_size=n, max_size=n))
    ours = RoomVectorEnv(room, n, goals)
    copies = [None] * n if goals is None else goals
    theirs = SyncVectorEnv(
        [lambda goal=goal: RoomEnv(room, goal) for goal in copies], autoreset_mode=AutoresetMode.SAME_STEP
    )
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    np.testing.assert_array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])
    assert ours.goals == tuple(env.goal for env in theirs.envs)
    generator = np.random.default_rng(seed)
    for _ in range(3 * room.horizon + 1):
        actions = generator.integers(0, 5, n)
        got, wanted = ours.step(actions), theirs.step(actions)
        for mine, single in zip(got[:4], wanted[:4], strict=True):
            np.testing.assert_array_equal(mine, single)
            assert mine.dtype == single.dtype
        assert ours.observation_space.contains(got[0])
        assert ("final_obs" in got[4]) == ("final_obs" in wanted[4]) == bool(got[3].all())
        if "final_obs" in got[4]:
            np.testing.assert_array_equal(got[4]["final_obs"], np.stack(wanted[4]["final_obs"]))
            np.testing.assert_array_equal(got[4]["_final_obs"], wanted[4]["_final_obs"])
    np.testing.assert_array_equal(ours.reset()[0], theirs.reset()[0])
    assert ours.goals == tuple(env.goal for env in theirs.envs)


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_makes_vectors(name):
    envs = gymnasium.make_vec(name, num_envs=3)
    assert isinstance(envs.unwrapped, RoomVectorEnv)
    first, _ = envs.reset(seed=5)
    again, _ = gymnasium.make_vec(name, num_envs=3).reset(seed=5)
    np.testing.assert_array_equal(first, again)
    goals = room_named(name).goals[:2]
    assert gymnasium.make_vec(name, num_envs=2, goals=goals).unwrapped.goals == goals
    assert gymnasium.make_vec(name, num_envs=2, goal=goals[1]).unwrapped.goals == (goals[1], goals[1])


def test_seeds_may_be_given_one_by_one():
    room = room_named("dark_key_to_door")
    together = RoomVectorEnv(room, 3)
    first, _ = together.reset(seed=[7, 2, 5])
    for copy, seed in enumerate((7, 2, 5)):
        single = RoomEnv(room, None)
        assert single.reset(seed=seed)[0].tolist() == first[copy].tolist() and single.goal == together.goals[copy]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: gymnasium.make_vec("keepmap/DarkRoom-9x9-v0", num_envs=2, goal=(9, 0)),
            r"expected `goal` to be one of darkroom of size 9, .*, got \(9, 0\)",
        ),
        (
            lambda: gymnasium.make_vec("keepmap/DarkRoom-9x9-v0", num_envs=1, goal=(4, 2), goals=[(4, 2)]),
            "expected one of `goal`, of all copies, and `goals`, one for each, got both",
        ),
        (lambda: RoomVectorEnv(room_named("darkroom"), 0), "expected `num_envs` to be 1 copy of a room or more, got 0"),
        (
            lambda: RoomVectorEnv(room_named("darkroom"), 2, [(0, 0)]),
            "expected `goals` to be one for each of 2 copies of a room, got 1",
        ),
        (
            lambda: RoomVectorEnv(room_named("darkroom"), 2).reset(seed=[1]),
            "expected `seed` to be one for each of 2 copies of a room, got 1",
        ),
        (lambda: RoomVectorEnv(room_named("darkroom"), 2).step(np.zeros(2, dtype=int)), "call reset first"),
        (
            lambda: RoomVectorEnv(room_named("darkroom"), 2, [(0, 0), (9, 0)]),
            r"one of darkroom of size 9, \(0, 0\) to \(8, 8\), got \(9, 0\)",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("actions", [[0, 5], [0, -1], [0], [[0, 1]]])
def test_actions_that_there_are_not_are_refused(actions, unchecked):
    envs = RoomVectorEnv(room_named("darkroom"), 2)
    envs.reset()
    with pytest.raises(InputError, match="expected `actions` to be 2 numbers from 0 to 4"):
        envs.step(np.array(actions))
