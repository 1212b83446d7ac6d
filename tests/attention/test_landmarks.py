"""Labels of an agent's positions."""

import pytest

from keepmap.attention.landmarks import Landmarks


def test_a_label_is_the_episode_and_the_step():
    marks = Landmarks(episodes=(1, 1, 2), steps=(1, 2, 1), rewards=(0.0, 1.0, None))
    assert marks.labels == ("(1, 1)", "(1, 2)", "(2, 1)")


def test_episodes_and_steps_are_of_the_same_positions():
    with pytest.raises(ValueError, match="shorter"):
        Landmarks(episodes=(1, 1), steps=(1,), rewards=(None,)).labels  # noqa: B018


def test_where_episodes_start_and_what_was_rewarded():
    marks = Landmarks(episodes=(3, 3, 4, 4, 4, 5), steps=(9, 10, 1, 2, 3, 1), rewards=(0.0, 1.0, -0.5, 0.0, 2.0, None))
    assert marks.starts == [2, 5] and marks.rewarded == [1, 2, 4]
