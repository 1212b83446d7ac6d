"""The rules against their obvious forms, one row at a time, with gaps."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from keepmap.agents.choosing import ages, at_ages, even, lengths, recent, shares, top


@st.composite
def masks(draw: st.DrawFn) -> torch.Tensor:
    n = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=3))
    return torch.tensor(rows)


def kept_places(kept: torch.Tensor) -> list[list[int]]:
    return [row.nonzero()[:, 0].tolist() for row in kept]


@given(masks())
def test_the_most_recent_has_age_0(valid: torch.Tensor) -> None:
    for row, age, length in zip(valid, ages(valid), lengths(valid), strict=True):
        assert age[row].tolist() == list(range(int(length)))[::-1]


@given(masks(), st.integers(1, 6))
def test_recent_is_the_end_of_each_row(valid: torch.Tensor, budget: int) -> None:
    assert kept_places(recent(valid, budget)) == [places[-budget:] for places in kept_places(valid)]


@given(masks(), st.integers(1, 6))
def test_even_keeps_both_ends_and_the_same_gaps_but_for_one(valid: torch.Tensor, budget: int) -> None:
    for places, kept in zip(kept_places(valid), kept_places(even(valid, budget)), strict=True):
        assert len(kept) == min(budget, len(places)) and set(kept) <= set(places)
        order = [places.index(place) for place in kept]
        if len(places) > budget > 1:
            gaps = [after - before for before, after in zip(order, order[1:], strict=False)]
            assert (order[0], order[-1]) == (0, len(places) - 1) and max(gaps) - min(gaps) <= 1
        elif places:
            assert kept[-1] == places[-1]


@given(masks(), st.integers(1, 6), st.integers(0, 99))
def test_top_is_a_sort_in_which_the_more_recent_wins(valid: torch.Tensor, budget: int, seed: int) -> None:
    scores = torch.randint(4, valid.shape, generator=torch.Generator().manual_seed(seed))
    for row, kept in enumerate(kept_places(top(valid, scores, budget))):
        places = kept_places(valid)[row]
        best = sorted(places, key=lambda place: (int(scores[row, place]), place), reverse=True)[:budget]
        assert kept == sorted(best)


def test_a_short_row_is_kept_whole() -> None:
    valid = torch.tensor([[True, False, True, False], [True, True, True, True]])
    assert kept_places(at_ages(valid, torch.tensor([[0, 3]]).expand(2, 2))) == [[0, 2], [0, 3]]


def test_shares_are_of_the_valid_ones_alone() -> None:
    valid = torch.tensor([[True, False, True], [False, False, False]])
    result = shares(valid, torch.tensor([[1.0, float("nan"), 3.0], [1.0, 1.0, 1.0]]))
    assert result[0].tolist() == [0.25, 0.0, 0.75]
    assert not result[1].isnan().any()
