"""Dark Key-to-Door: a key, then a door, from anywhere."""

import numpy as np

from keepmap.agents.environments import room_named
from keepmap.agents.environments.single import RoomEnv


def test_a_goal_is_a_key_and_a_door():
    room = room_named("dark_key_to_door", size=3)
    assert len(set(room.goals)) == 81
    assert room.targets(np.array([[0, 1, 2, 2]])).tolist() == [[[0, 1], [2, 2]]]
    assert len(room.all_starts()) == 9


def test_the_door_opens_with_the_key_alone():
    env = RoomEnv(room_named("dark_key_to_door", size=2), (0, 0, 1, 1))
    start = env.reset(seed=3)[0].tolist()
    to_door = [0] * (1 - start[0]) + [2] * (1 - start[1]) + [4]
    assert [env.step(action)[1] for action in to_door] == [0.0] * (len(to_door) - 1) + [0.0]
    assert [env.step(action)[1] for action in (1, 3, 4, 0, 2, 4)] == [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]


def test_the_optimum_is_a_mean_over_starts():
    # From two steps at most: the key in one, and the door in one more.
    room = room_named("dark_key_to_door", size=2, horizon=2)
    assert room.optimum((0, 0, 0, 1)) == (2 + 2 + 2 + 1) / 4
    assert room_named("dark_key_to_door").optimum((0, 0, 8, 8)) == 2
