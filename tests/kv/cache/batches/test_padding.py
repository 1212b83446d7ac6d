"""What a mask may hide, and where the positions of each text begin."""

from typing import Any

import pytest
import torch

from keepmap.errors import InputError
from keepmap.kv.cache.batches.padding import paddings_of

NEW = torch.zeros(2, 3, dtype=torch.int64)


def of(mask: list[list[int]] | None, seen: int = 0, before: tuple[int, int] = (0, 0), **others: Any) -> list[int]:
    named = {"attention_mask": None if mask is None else torch.tensor(mask), "position_ids": None} | others
    return paddings_of(named, NEW, seen, before)


def test_padding_at_the_left_is_counted() -> None:
    assert of([[0, 1, 1], [1, 1, 1]]) == [1, 0]
    assert of([[0, 0, 0], [0, 0, 1]]) == [3, 2], "a text of which nothing has come"
    assert of(None) == of([[1, 1, 1], [1, 1, 1]]) == [0, 0]
    assert of([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]], 2, (1, 0)) == of(None, 2, (1, 0)) == [1, 0]
    assert of([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]], 2, (2, 1)) == [3, 1], "the first goes on to be padding"
    assert of([[1, 1, 1], [1, 1, 1]], 2) == [0, 0], "of what is new alone"


@pytest.mark.parametrize(
    ("mask", "seen", "before"),
    [
        ([[1, 0, 1], [1, 1, 1]], 0, (0, 0)),
        ([[1, 1, 0], [1, 1, 1]], 0, (0, 0)),
        ([[0, 1, 1]], 0, (0, 0)),
        ([[[0, 1, 1], [1, 1, 1]]], 0, (0, 0)),
        ([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]], 2, (0, 0)),
        ([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], 2, (1, 0)),
        ([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1]], 2, (1, 0)),
        ([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]], 2, (2, 0)),
    ],
    ids=["a hole", "at the right", "of one row", "3D", "seen", "more", "fewer", "fewer of a padded one"],
)
def test_what_else_is_hidden_is_refused(mask: list[list[int]], seen: int, before: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="^expected `attention_mask` to hide nothing but padding at the left"):
        of(mask, seen, before)


def test_each_text_has_the_positions_that_it_has_alone() -> None:
    named: dict[str, Any] = {"attention_mask": torch.tensor([[0, 0, 1], [1, 1, 1]])}
    paddings_of(named, NEW, 0, (0, 0))
    assert named["position_ids"].tolist() == [[0, 0, 0], [0, 1, 2]]
    assert paddings_of({}, NEW, 0, (0, 0)) == [0, 0]
    plain: dict[str, Any] = {}
    paddings_of(plain, NEW, 4, (0, 0))
    assert plain == {}, "the model counts by itself"


@pytest.mark.parametrize("positions", [[[1, 1, 0], [0, 1, 2]], [[9, 9, 0], [0, 1, 2]]], ids=["as generate", "any"])
def test_positions_of_padding_are_not_looked_at(positions: list[list[int]]) -> None:
    mask = [[0, 0, 1], [1, 1, 1]]
    assert of(mask, position_ids=torch.tensor(positions)) == [2, 0]


@pytest.mark.parametrize(
    "positions", [[[0, 1, 2]], [[0, 0, 0], [1, 2, 3]], [[0], [2]], [[0, 0, 1], [0, 1, 2]]], ids=str
)
def test_other_positions_are_refused(positions: list[list[int]]) -> None:
    with pytest.raises(InputError, match="^expected `position_ids` to go on from 0, .*, less a text's padding"):
        of([[0, 0, 1], [1, 1, 1]], position_ids=torch.tensor(positions))


def test_a_mask_of_another_length_is_refused_as_such() -> None:
    with pytest.raises(InputError, match="to have 3 columns, 0 that the cache has seen and 3 new ones, got 2"):
        of([[1, 1], [1, 1]])


def test_a_text_of_nothing_but_padding_is_refused_when_it_goes_on() -> None:
    with pytest.raises(InputError, match="^expected `attention_mask` to show some of each text, got one that hides"):
        paddings_of(
            {"attention_mask": torch.tensor([[0, 0, 0, 1]]), "position_ids": torch.tensor([[3]])},
            torch.zeros(1, 1),
            3,
            [3],
        )
