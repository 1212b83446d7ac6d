"""What is kept before all else."""

import torch

from keepmap.kv.scoring.ranking import best, leading


def test_the_best_are_the_highest_and_the_later_of_equals() -> None:
    scores = torch.tensor([[3.0, 1.0, 3.0, 9.0], [1.0, 1.0, 1.0, 1.0]])
    among = torch.tensor([[True, True, True, False], [True, True, False, True]])
    chosen = best(scores, among, torch.tensor([1, 2]))
    assert chosen.tolist() == [[False, False, True, False], [False, True, False, True]]
    assert best(scores, among, torch.tensor([9, 0])).tolist() == [among[0].tolist(), [False] * 4]


def test_a_score_that_is_no_number_is_not_hidden() -> None:
    scores = torch.tensor([[torch.nan, 1.0]])
    assert best(scores, torch.ones(1, 2, dtype=torch.bool), torch.tensor([2])).tolist() == [[False, True]]


def test_the_leading_stay_below_their_share() -> None:
    scores, among = torch.tensor([[5.0, 1.0, 3.0, 1.0]]), torch.ones(1, 4, dtype=torch.bool)
    assert leading(scores, among, 0.85).tolist() == [[True, False, True, False]]
    assert leading(scores, among, 0.8).tolist() == [[True, False, False, False]]
    assert leading(scores, among, 1.1).all()
    assert leading(scores, among, 0.85, torch.tensor([1])).tolist() == [[True, False, False, False]]
    assert not leading(torch.zeros(1, 4), torch.zeros_like(among), 0.9).any()
