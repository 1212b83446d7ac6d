"""What every family has: numbers of tasks, a split of them, and messages of one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.agents.families import families, make_family
from keepmap.errors import InputError


@given(
    name=st.sampled_from(sorted(families())),
    n_train=st.integers(0, 12),
    n_held_out=st.integers(0, 12),
    seed=st.integers(0, 2**32),
)
def test_no_task_is_on_both_sides_of_a_split(name: str, n_train: int, n_held_out: int, seed: int) -> None:
    family = make_family(name)
    split = family.split(n_train, n_held_out, seed)
    numbers = [*split.train, *split.held_out]
    assert (len(split.train), len(split.held_out)) == (n_train, n_held_out)
    assert len(set(numbers)) == len(numbers) and all(0 <= number < family.n_tasks for number in numbers)
    assert family.split(n_train, n_held_out, seed) == split


def test_a_split_of_all_tasks_has_each_of_them() -> None:
    split = make_family("recall_room").split(20, 4)
    assert sorted([*split.train, *split.held_out]) == list(range(24))
    with pytest.raises(InputError, match="at most 24 together, the tasks of recall_room, got 25"):
        make_family("recall_room").split(20, 5)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([24], "numbers from 0 to 23, the tasks of recall_room, got 24 to 24"),
        ([-1, 3], "got -1 to 3"),
        ([0.5], "numbers of tasks, as"),
        ([], "numbers of tasks, as"),
        (3, "numbers of tasks, as"),
        ([[1], [2, 3]], "numbers of tasks, as"),
        ("all", "numbers of tasks, as"),
    ],
)
def test_tasks_that_there_are_not(tasks: object, message: str) -> None:
    with pytest.raises(InputError, match=f"expected `tasks` to be .*{message}"):
        make_family("recall_room").optimal_return(tasks)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("recal_room", {}, 'unknown family "recal_room" .*, did you mean "recall_room"'),
        ("bandit", {"horizon": 0}, "expected `horizon` to be an integer of 1 or more, got 0"),
        ("bandit", {"episodes": 0}, "`episodes`"),
        ("bandit", {"arms": 1}, "`arms`"),
        ("random_mdp", {"states": 65}, "`states`"),
        ("random_mdp", {"states": 10, "band": 10}, "`band`"),
        ("random_mdp", {"actions": 9}, "`actions`"),
        ("moving_goal", {"size": 1}, "`size`"),
        ("recall_room", {"size": 2}, "`size`"),
        ("recall_room", {"colour": 2}, "colour"),
    ],
)
def test_families_that_cannot_be(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_family(name, **options)


def test_a_task_is_the_same_on_every_machine() -> None:
    """Values of a few tasks: a change here changes what results of an earlier version were measured on."""
    assert make_family("bandit").arrays(np.array([7]))["chances"][0, :2] == pytest.approx(
        [0.3596767659247476, 0.6165463657853983]
    )
    mdp = make_family("random_mdp").arrays(np.array([7]))
    assert (int(mdp["goal"][0]), int(mdp["halfway"][0])) == (15, 7)
    assert make_family("moving_goal").arrays(np.array([0, 81]))["goals"].tolist() == [
        [[0, 0], [0, 1]],
        [[0, 1], [0, 2]],
    ]
    assert make_family("recall_room").arrays(np.array([11, 12]))["goals"].tolist() == [[2, 1], [2, 3]]
