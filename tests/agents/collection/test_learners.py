"""The loop that the array sources share: what a learner is called with, and what is kept of it."""

import numpy as np

from keepmap.agents.collection.learners import Draws, play
from keepmap.agents.environments import room_named


class Scripted:
    """Takes the actions of a script, and notes what it is given."""

    def __init__(self, actions):
        self.actions, self.acted, self.saw = list(actions), [], []

    def act(self, cells, progress, share, draws):
        self.acted.append((cells.tolist(), progress.tolist(), share, draws.shape))
        return np.array([self.actions[len(self.acted) - 1]] * len(cells))

    def see(self, cells, progress, actions, rewarded, cells_after, progress_after):
        self.saw.append(
            (cells.tolist(), progress.tolist(), rewarded.tolist(), cells_after.tolist(), progress_after.tolist())
        )


def test_a_learner_is_called_with_cells_and_progress_and_all_is_kept():
    room = room_named("darkroom_hard", size=3, horizon=3)
    script, shares = Scripted([0, 4, 2, 0, 2, 3]), []
    streams = play(room, [(2, 1), (2, 2)], 1, 2, 0, shares.append, 7, lambda n: script)
    # Cells are numbered x * 3 + y: the centre is 4, (2, 1) is 7 and (2, 2) is 8.
    assert script.acted == [
        ([4, 4], [0, 0], 0.0, (2, 7)),
        ([7, 7], [1, 0], 0.0, (2, 7)),
        ([7, 7], [1, 0], 0.0, (2, 7)),
        ([4, 4], [0, 0], 0.5, (2, 7)),
        ([7, 7], [1, 0], 0.5, (2, 7)),
        ([8, 8], [1, 1], 0.5, (2, 7)),
    ]
    assert script.saw[0] == ([4, 4], [0, 0], [True, False], [7, 7], [1, 0])
    assert script.saw[2] == ([7, 7], [1, 0], [False, True], [8, 8], [1, 1])
    assert streams.states[:, 0].tolist() == [[1, 1], [2, 1], [2, 1], [1, 1], [2, 1], [2, 2]]
    assert streams.next_states[:, 0].tolist() == [[2, 1], [2, 1], [2, 2], [2, 1], [2, 2], [2, 1]]
    assert streams.actions[:, 1].tolist() == [0, 4, 2, 0, 2, 3]
    assert streams.rewards.T.tolist() == [[1, 0, 0, 1, 0, 0], [0, 0, 1, 0, 1, 0]]
    assert streams.dones.T.tolist() == [[False, False, True] * 2] * 2
    assert shares == [0.5, 1.0]


def test_draws_of_a_goal_are_its_own():
    room = room_named("darkroom", size=3)
    together = Draws(room, room.goals[:3], 2, 5)
    alone = Draws(room, room.goals[1:2], 2, 5)
    for _ in range(2):
        both, single = together.uniform(4, 3), alone.uniform(4, 3)
        assert both.shape == (4, 6, 3) and single.dtype == np.float32
        assert both.min() >= 0 and both.max() < 1 and len(np.unique(both)) == both.size
        np.testing.assert_array_equal(both[:, 2:4], single)
    assert not np.array_equal(
        Draws(room, room.goals[1:2], 2, 6).uniform(4, 3), Draws(room, room.goals[1:2], 2, 5).uniform(4, 3)
    )
