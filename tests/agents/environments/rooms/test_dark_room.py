"""Dark Room: from the centre to a hidden cell, which rewards every step on it."""

import numpy as np

from keepmap.agents.environments import room_named
from tests.reference.rooms import best_return


def test_goals_are_the_cells_row_by_row():
    room = room_named("darkroom", size=3)
    assert room.goals == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2))
    assert room.targets(np.array([[2, 1], [0, 0]])).tolist() == [[[2, 1]], [[0, 0]]]
    assert room.all_starts() == ((1, 1),) and room_named("darkroom", size=4).all_starts() == ((2, 2),)


def test_the_optimum_of_dark_room():
    room = room_named("darkroom")
    for goal in room.goals[::7]:
        assert room.optimum(goal) == best_return("darkroom", 9, 20, goal, (4, 4))
    held_out = [(4, 2), (5, 6), (6, 8), (7, 2), (3, 6), (0, 5), (5, 8), (5, 4)]
    assert [room.optimum(goal) for goal in held_out] == [19, 18, 15, 16, 18, 16, 16, 20]
    assert round(sum(map(room.optimum, room.goals)) / 81, 2) == 16.54
