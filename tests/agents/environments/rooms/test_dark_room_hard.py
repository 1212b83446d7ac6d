"""Dark Room Hard: the hidden cell of a larger room rewards once."""

from keepmap.agents.environments import room_named
from keepmap.agents.environments.single import RoomEnv


def test_the_goal_rewards_once():
    room = room_named("darkroom_hard")
    assert (room.size, room.horizon, room.n_targets, room.memory) == (17, 20, 1, 2)
    env = RoomEnv(room, (9, 8))
    env.reset()
    assert [env.step(action)[1] for action in (0, 4, 1, 0)] == [1.0, 0.0, 0.0, 0.0]
    env.reset()
    assert env.step(0)[1] == 1.0, "in every episode anew"


def test_the_optimum_is_one_where_the_horizon_reaches():
    room = room_named("darkroom_hard")
    assert {room.optimum(goal) for goal in room.goals} == {1.0}
    near = room_named("darkroom_hard", horizon=2)
    assert [near.optimum((8, y)) for y in (8, 9, 10, 11)] == [1.0, 1.0, 1.0, 0.0]
