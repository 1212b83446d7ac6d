"""Layers, heads and rows made definite."""

import pytest
import torch

from keepmap.attention.request import indices, require_some_context, rows
from keepmap.errors import InputError


@pytest.mark.parametrize(
    ("chosen", "expected"), [(None, (0, 1, 2)), (1, (1,)), ([2, 0, 2], (0, 2)), (range(1, 3), (1, 2))], ids=str
)
def test_indices_are_ascending_and_each_once(chosen, expected):
    assert indices("layer", chosen, 3) == expected


@pytest.mark.parametrize("chosen", [3, -1, [0, 5], [True], []], ids=str)
def test_indices_that_are_not_there_are_one_line(chosen):
    with pytest.raises(InputError, match=r"(layer|layers).*(0\.\.2|all 3)"):
        indices("layer", chosen, 3)


def test_rows_measured_and_kept():
    everything = rows("all", 9, seed=0)
    assert everything.measured.tolist() == list(range(9)) and everything.kept.tolist() == [8]
    last = rows("last", 9, seed=0)
    assert last.measured.tolist() == last.kept.tolist() == [8]
    chosen = rows([4, 1, 4], 9, seed=0)
    assert chosen.measured.tolist() == chosen.kept.tolist() == [1, 4]
    assert rows(torch.tensor([[3]]), 9, seed=0).measured.tolist() == [3]


def test_sampled_rows_are_distinct_ascending_and_the_seeds():
    samples = [rows(5, 40, seed=seed).measured.tolist() for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    assert samples[0] == sorted(set(samples[0])) and len(samples[0]) == 5
    assert rows(40, 40, seed=3).measured.tolist() == list(range(40))


def test_a_context_of_one_has_nothing_to_choose_between():
    require_some_context(2)
    with pytest.raises(InputError, match="expected a context of two positions or more, got 1$"):
        require_some_context(1)
