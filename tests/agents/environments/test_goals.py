"""Splits: the guide's own, folds, and that no goal is on both sides."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.agents.environments import room_named
from keepmap.agents.environments.goals import Split, all_goals, fold_split, guide_split, parse_cell, split_named
from keepmap.errors import InputError

CELLS = tuple(itertools.product(range(9), repeat=2))


def test_the_guides_own_split():
    split = guide_split(room_named("darkroom").goals)
    assert split.held_out == ((4, 2), (5, 6), (6, 8), (7, 2), (3, 6), (0, 5), (5, 8), (5, 4))
    assert len(split.train) == 73
    optima = [room_named("darkroom").optimum(goal) for goal in split.held_out]
    assert sum(optima) / 8 == 17.25


@given(st.integers(0, 1000), st.floats(0, 1))
def test_a_split_covers_the_goals_and_its_sides_are_disjoint(seed, share):
    split = guide_split(CELLS, seed, share)
    assert sorted(split.train + split.held_out) == sorted(CELLS)
    assert not set(split.train) & set(split.held_out)
    assert len(split.train) == round(81 * share)
    assert split == guide_split(CELLS, seed, share)


@given(st.integers(2, 81), st.integers(0, 1000))
def test_every_goal_is_held_out_in_one_fold(n_folds, seed):
    splits = [fold_split(CELLS, fold, n_folds, seed) for fold in range(n_folds)]
    assert sorted(goal for split in splits for goal in split.held_out) == sorted(CELLS)
    sizes = {len(split.held_out) for split in splits}
    assert max(sizes) - min(sizes) <= 1
    for split in splits:
        assert sorted(split.train + split.held_out) == sorted(CELLS)
        assert not set(split.train) & set(split.held_out)


def test_names_of_splits():
    assert split_named("guide", CELLS) == split_named("seed", CELLS) == guide_split(CELLS)
    assert split_named("seed", CELLS).name == "guide"
    assert split_named("all", CELLS) == all_goals(CELLS)
    assert split_named("2/9", CELLS, 3) == fold_split(CELLS, 2, 9, 3)
    assert split_named("2/9", CELLS, 3).name == "2/9"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("half", 'expected `split` to be guide, all, or 0/9 .*, got "half"'),
        ("9/9", "expected `split` to be 0/9 to 8/9, counted from 0, got 9/9"),
        ("0/1", "expected `split` to be of 2 to 81 folds, the number of goals, got 0/1"),
        ("0/82", "got 0/82"),
    ],
)
def test_a_split_that_cannot_be_made(name, message):
    with pytest.raises(InputError, match=message):
        split_named(name, CELLS)


def test_a_goal_on_both_sides_and_a_share_that_is_none():
    with pytest.raises(InputError, match=r"the goal \(0, 1\) stands twice"):
        Split("mine", 0, ((0, 0), (0, 1)), ((0, 1),))
    with pytest.raises(InputError, match="`train_share` .* got 1.5"):
        guide_split(CELLS, 0, 1.5)


@pytest.mark.parametrize(
    ("text", "goal"),
    [("7,2", (7, 2)), (" (7, 2) ", (7, 2)), ("0,0,8,8", (0, 0, 8, 8)), ("( 1 ,2,0 )", (1, 2, 0)), ("3", (3,))],
)
def test_a_cell_is_read_as_people_write_it(text, goal):
    assert parse_cell(text) == goal


@pytest.mark.parametrize("text", ["", "north", "(7,2", "7,2)", "7;2", "7,2,", ",", "-1,2", "1.5,2", "7,2 5,6", "()"])
def test_what_is_no_cell_is_one_line(text):
    with pytest.raises(InputError, match="expected `goal` to be a cell as x,y, for example 7,2, got ") as raised:
        parse_cell(text)
    assert "\n" not in str(raised.value)
