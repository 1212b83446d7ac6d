"""Dark rooms: Gymnasium's checker, an obvious reference, a planner, and vectors that equal single environments."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st

from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.single import RoomEnv
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.core.registry import load_plugin, unload_plugins
from keepmap.errors import InputError
from tests.reference.rooms import best_return, walk

COVERS = (
    "keepmap.agents.environments.rooms.*",
    "keepmap.agents.environments.room",
    "keepmap.agents.environments.single",
    "keepmap.agents.environments.vector",
)


IDS = (
    "keepmap/DarkRoom-9x9-v0",
    "keepmap/DarkRoomHard-17x17-v0",
    "keepmap/DarkRoomPermuted-9x9-v0",
    "keepmap/DarkKeyToDoor-9x9-v0",
)
SECTIONS = "Description|Action Space|Observation Space|Starting State|Rewards|Episode End|Arguments|References|Version"


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_finds_nothing(name):
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        check_env(gymnasium.make(name).unwrapped)
    assert [str(complaint.message) for complaint in complaints] == []


@pytest.mark.parametrize("name", IDS)
def test_the_docstring_follows_gymnasiums_template(name):
    documented = type(gymnasium.make(name).unwrapped.room).__doc__
    assert [section for section in SECTIONS.split("|") if f"\n    ## {section}" not in documented] == []


def test_the_ids_say_the_sizes_and_horizons():
    assert [(room_named(name).size, room_named(name).horizon) for name in IDS] == [(9, 20), (17, 20), (9, 50), (9, 50)]
    assert [len(room_named(name).goals) for name in IDS] == [81, 289, 120, 6561]
    for name in IDS:
        assert gymnasium.make(name).unwrapped.room == room_named(name)
        assert room_named(name).gymnasium_id == name
        assert room_named(name).name in environments()


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


def test_a_drawn_goal_stays_until_a_reset_with_a_seed():
    env = gymnasium.make(IDS[0]).unwrapped
    assert env.goal is None
    env.reset(seed=1)
    first = env.goal
    for _ in range(5):
        env.reset()
        assert env.goal == first
    assert {env.reset(seed=seed) and env.goal for seed in range(30)} > {first}
    env.reset(seed=1)
    assert env.goal == first


@pytest.mark.parametrize("name", sorted(environments()))
@pytest.mark.parametrize(("size", "horizon"), [(3, 1), (3, 4), (4, 9)])
def test_the_optimum_is_what_a_planner_finds(name, size, horizon):
    room = room_named(name, size, horizon)
    for goal in room.goals[:: max(1, len(room.goals) // 9)]:
        planned = [best_return(name, size, horizon, goal, start) for start in room.all_starts()]
        assert room.optimum(goal) == sum(planned) / len(planned)


def test_the_optimum_of_dark_room():
    room = room_named("darkroom")
    for goal in room.goals[::7]:
        assert room.optimum(goal) == best_return("darkroom", 9, 20, goal, (4, 4))
    held_out = [(4, 2), (5, 6), (6, 8), (7, 2), (3, 6), (0, 5), (5, 8), (5, 4)]
    assert [room.optimum(goal) for goal in held_out] == [19, 18, 15, 16, 18, 16, 16, 20]
    assert round(sum(map(room.optimum, room.goals)) / 81, 2) == 16.54
    assert room_named("darkroom_permuted").optimum((0, 1, 2, 3, 4)) == 35
    assert room_named("dark_key_to_door").optimum((0, 0, 8, 8)) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: room_named("darkrom"), 'unknown environment "darkrom", did you mean "darkroom"?'),
        (lambda: room_named("darkroom", size=1), "expected `size` to be 2 to 255 cells, got 1"),
        (lambda: room_named("darkroom", size=256), "cells, got 256"),
        (lambda: room_named("darkroom", horizon=0), "expected `horizon` to be 1 step or more, got 0"),
        (
            lambda: gymnasium.make(IDS[0], goal=(9, 0)),
            r"one of darkroom of size 9, \(0, 0\) to \(8, 8\), got \(9, 0\)",
        ),
        (lambda: gymnasium.make(IDS[2], goal=(0, 0, 1, 2, 3)), "expected `goal` to be one of"),
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
        (lambda: RoomEnv(room_named("darkroom"), (0, 0)).step(0), "call reset first"),
    ],
)
def test_what_cannot_be_is_said(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_an_action_that_there_is_not_is_refused():
    env, envs = RoomEnv(room_named("darkroom"), None), RoomVectorEnv(room_named("darkroom"), 2)
    env.reset(), envs.reset()
    for action in (5, -1):
        with pytest.raises(InputError, match="expected `action` to be 0 to 4, got "):
            env.step(action)
        with pytest.raises(InputError, match="expected `actions` to be 2 numbers from 0 to 4"):
            envs.step(np.array([0, action]))
    with pytest.raises(InputError, match="to be 2 numbers"):
        envs.step(np.array([0]))


def test_the_rooms_are_found_by_name_and_by_their_own_id():
    assert list(environments()) == ["dark_key_to_door", "darkroom", "darkroom_hard", "darkroom_permuted"]
    assert {room.gymnasium_id for room in environments().values()} == {*IDS}
    assert all(type(room_named(name)) is room for name, room in environments().items())
    assert {name for name in gymnasium.registry if name.startswith("keepmap/")} == {*IDS}


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from keepmap.agents.environments.rooms.dark_room import DarkRoom

@dataclass(frozen=True)
class Tiny(DarkRoom):
    size: int = 3
    name: ClassVar[str] = "tiny_room"
    gymnasium_id: ClassVar[str] = "mine/Tiny-3x3-v0"
"""


def test_a_room_of_the_users_own_plays_and_can_be_taken_back(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    assert load_plugin(tmp_path / "mine.py") == ("tiny_room",)
    try:
        check_env(gymnasium.make("mine/Tiny-3x3-v0").unwrapped)
        assert gymnasium.make_vec("mine/Tiny-3x3-v0", num_envs=2, horizon=4).unwrapped.room == room_named(
            "tiny_room", horizon=4
        )
        assert room_named("mine/Tiny-3x3-v0").n_cells == 9
    finally:
        unload_plugins()
    assert "mine/Tiny-3x3-v0" not in gymnasium.registry and "tiny_room" not in environments()


@pytest.mark.parametrize(
    ("new_id", "message"),
    [
        ("a b", 'its gymnasium_id is "a b"; expected one such as "mine/Room-5x5-v0"'),
        (IDS[0], f'its gymnasium_id "{IDS[0]}" is taken; choose another'),
    ],
)
def test_a_room_with_an_id_that_is_refused(tmp_path, new_id, message):
    (tmp_path / "mine.py").write_text(PLUGIN.replace("mine/Tiny-3x3-v0", new_id))
    with pytest.raises(InputError) as refused:
        load_plugin(tmp_path / "mine.py")
    assert str(refused.value) == f"the plugin {tmp_path / 'mine.py'}: Tiny: {message}"
    assert "tiny_room" not in environments()
