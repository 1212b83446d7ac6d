"""Dark Room Permuted: the far corner, and actions that do what the hidden permutation says."""

import numpy as np

from keepmap.agents.environments import room_named


def test_an_action_does_what_the_permutation_makes_of_it():
    room = room_named("darkroom_permuted", size=3)
    goal = (4, 2, 0, 1, 3)  # action 0 stays, 1 moves to (x, y + 1), ...
    moved = room.moves(np.array([goal] * 5), np.arange(5))
    assert moved.tolist() == [[0, 0], [0, 1], [1, 0], [-1, 0], [0, -1]]
    other = room.moves(np.array([goal, (0, 1, 2, 3, 4)]), np.array([1, 1]))
    assert other.tolist() == [[0, 1], [-1, 0]], "each copy has a permutation of its own"


def test_every_permutation_is_a_goal_and_the_far_corner_the_target():
    room = room_named("darkroom_permuted", size=4)
    assert len(set(room.goals)) == 120 and all(sorted(goal) == [0, 1, 2, 3, 4] for goal in room.goals)
    assert room.targets(np.array(room.goals[:2])).tolist() == [[[3, 3]]] * 2 and room.all_starts() == ((0, 0),)
    assert room.moves_vary and room_named("darkroom_permuted").optimum((0, 1, 2, 3, 4)) == 35
