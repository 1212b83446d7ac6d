"""Capacities, protection and when things are decided, worked out by hand. (Against loops: properties/test_choosing.)"""

import math

import pytest
import torch

from keepmap.errors import ImpossibleResultError, InputError
from keepmap.kv.choosing import Budget, Protection, Threshold, choose, decidable, decided_at


@pytest.mark.parametrize(
    ("budget", "m", "held"),
    [
        (Budget(density=0.2), 35, 7),  # not the 8 that a binary 0.2 would round up to
        (Budget(density=0.2), 36, 8),
        (Budget(density=0.07), 100, 7),
        (Budget(density=0.0), 9, 0),
        (Budget(density=1.0), 9, 9),
        (Budget(count=3), 2, 2),
        (Budget(count=3), 9, 3),
    ],
)
def test_a_density_is_the_decimal_that_was_typed(budget, m, held):
    assert budget.capacity(m) == held


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_a_position_is_decided_at_the_end_of_the_chunk_in_which_it_leaves_the_window(chunk):
    n, protection = 10, Protection(n_sink=2, window=3)
    expected = []
    for j in range(n):
        ends = [end for end in [*range(chunk, n, chunk), n] if end > j + 3]
        expected.append(ends[0] if ends else n)
    assert decided_at(n, protection, chunk, torch.device("cpu")).tolist() == expected
    assert decidable(n, protection, torch.device("cpu")).nonzero().flatten().tolist() == [2, 3, 4, 5, 6]
    assert [protection.compressible_left(end) for end in (0, 5, 6, 10)] == [0, 0, 1, 5]


def test_the_lowest_goes_and_the_earlier_one_on_a_tie():
    scores = torch.tensor([[5.0, 2.0, 3.0, 2.0, 4.0]])
    choice = choose(scores, Budget(count=2), Protection(0, 0))
    assert choice.expires.tolist() == [[5, 3, 5, 4, 5]]
    assert choice.held.tolist() == [[True, False, False, False, True]]
    at_threshold = choose(scores, Threshold(3.0), Protection(1, 0), chunk_size=2)
    assert at_threshold.expires.tolist() == [[5, 2, 5, 4, 5]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Protection(n_sink=-1), "sink"),
        (lambda: Protection(window=-1), "window"),
        (lambda: Threshold(math.nan), "NaN"),
        (lambda: Budget(), "a density or a count"),
        (lambda: Budget(0.5, 3), "not both"),
        (lambda: Budget(density=1.5), r"`density` to be a number in \[0, 1\], got 1.5"),
        (lambda: Budget(count=-2), "`budget` to be an integer of 0 or more, got -2"),
        (lambda: choose(torch.zeros(1, 1), Threshold(0.0), Protection(), 0), "`chunk_size`"),
    ],
)
def test_what_makes_no_sense_is_one_line(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_a_score_that_is_nan_decides_nothing():
    with pytest.raises(ImpossibleResultError, match="NaN"):
        choose(torch.tensor([[1.0, math.nan]]), Threshold(0.0), Protection())
