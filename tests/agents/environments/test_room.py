"""The rules that all rooms share: walls, rewards in order, numbers of goals, and the optimum that a planner finds."""

import numpy as np
import pytest

from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.room import MOVES, N_ACTIONS
from keepmap.errors import InputError
from tests.reference.rooms import best_return


def place(name="darkroom", size=3, horizon=9, **given):
    """A room, and a step of one copy of it: (goal, cell, progress, action) -> (cell after, reward)."""
    room = room_named(name, size=size, horizon=horizon)

    def step(goal, cell, progress, action):
        after, rewarded = room.step(np.array([goal]), np.array([cell]), np.array([progress]), np.array([action]))
        return tuple(after[0].tolist()), bool(rewarded[0])

    return room, step


def test_a_move_into_a_wall_stays():
    _, step = place()
    middle, corner = ([step((9, 9), cell, 0, action)[0] for action in range(N_ACTIONS)] for cell in ((1, 1), (2, 0)))
    assert middle == [(2, 1), (0, 1), (1, 2), (1, 0), (1, 1)]
    assert corner == [(2, 0), (1, 0), (2, 1), (2, 0), (2, 0)]
    with pytest.raises(ValueError, match="read-only"):
        MOVES[0] = 0


def test_targets_reward_in_order_and_once():
    room, step = place("dark_key_to_door")
    goal = (0, 0, 2, 2)  # the key, then the door
    assert step(goal, (2, 2), 0, 4) == ((2, 2), False)
    assert step(goal, (1, 0), 0, 1) == ((0, 0), True)
    assert step(goal, (0, 0), 1, 4) == ((0, 0), False)
    assert step(goal, (2, 1), 1, 2) == ((2, 2), True)
    assert step(goal, (2, 2), 2, 4) == ((2, 2), False), "all of them are used up"
    progress = np.array([0, 0, 1, 1, 2])
    rewarded = np.array([False, True, False, True, False])
    assert room.advance(progress, rewarded).tolist() == [0, 1, 1, 2, 2] and room.memory == 3


def test_where_every_step_rewards_nothing_has_to_be_remembered():
    room, step = place()
    assert step((0, 0), (0, 0), 0, 4)[1] and room.memory == 1
    assert room.advance(np.array([0]), np.array([True])).tolist() == [0]


@pytest.mark.parametrize("name", sorted(environments()))
def test_a_goals_number_is_its_place(name):
    room = room_named(name, size=3)
    assert [room.index(goal) for goal in room.goals] == list(range(len(room.goals)))
    with pytest.raises(InputError, match=rf"expected `goal` to be one of {name} of size 3, .*, got \(7, 7\)"):
        room.index((7, 7))


@pytest.mark.parametrize("name", sorted(environments()))
def test_starts_are_all_the_starts_there_are(name):
    room = room_named(name, size=3)
    draws = np.stack(np.meshgrid(*[np.linspace(0, 1, 30, endpoint=False)] * 2), axis=-1).reshape(-1, 2)
    assert {tuple(cell) for cell in room.starts(draws).tolist()} == set(room.all_starts())


@pytest.mark.parametrize("name", sorted(environments()))
@pytest.mark.parametrize(("size", "horizon"), [(3, 1), (3, 4), (4, 9)])
def test_the_optimum_is_what_a_planner_finds(name, size, horizon):
    room = room_named(name, size, horizon)
    for goal in room.goals[:: max(1, len(room.goals) // 9)]:
        planned = [best_return(name, size, horizon, goal, start) for start in room.all_starts()]
        assert room.optimum(goal) == sum(planned) / len(planned)


def test_a_goal_out_of_reach_is_worth_nothing():
    room = room_named("darkroom", size=9, horizon=3)
    assert [room.optimum(goal) for goal in ((4, 4), (4, 5), (4, 6), (4, 7), (4, 8))] == [3, 3, 2, 1, 0]
    with pytest.raises(InputError, match="expected `goal`"):
        room.optimum((9, 0))


@pytest.mark.parametrize(
    ("size", "horizon", "message"),
    [
        (1, 9, "expected `size` to be 2 to 255 cells, got 1"),
        (256, 9, "expected `size` to be 2 to 255 cells, got 256"),
        (3, 0, "expected `horizon` to be 1 step or more, got 0"),
    ],
)
def test_a_room_that_cannot_be_played_is_refused(size, horizon, message):
    with pytest.raises(InputError) as refused:
        room_named("darkroom", size=size, horizon=horizon)
    assert str(refused.value) == message
