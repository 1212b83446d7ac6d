"""A history by itself: its shapes, its parts, what is left of it, and what it shows of itself."""

from dataclasses import replace

import pytest
import torch

from keepmap.agents.history import History, Selection, narrowed, nothing, shorten
from keepmap.errors import InputError


def history(rows: int = 2, n: int = 5) -> History:
    numbers = torch.arange(rows * n).reshape(rows, n)
    return History(
        states=numbers[..., None].repeat(1, 1, 2),
        actions=numbers % 5,
        rewards=numbers.float(),
        next_states=numbers[..., None].repeat(1, 1, 2) + 1,
        times=numbers + 30,
        valid=torch.ones(rows, n, dtype=torch.bool),
        dones=numbers % 3 == 0,
    )


def test_parts_are_given_by_name() -> None:
    parts = vars(history())
    with pytest.raises(TypeError):
        History(*parts.values())  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": torch.zeros(2, 4, dtype=torch.int64)}, "actions of a history have the shape (2, 4)"),
        ({"rewards": torch.zeros(2, 5, 1)}, "rewards of a history have the shape (2, 5, 1)"),
        ({"next_states": torch.zeros(2, 5, 3, dtype=torch.int64)}, "next_states of a history have the shape (2, 5, 3)"),
        ({"dones": torch.zeros(1, 5, dtype=torch.bool)}, "dones of a history have the shape (1, 5)"),
    ],
)
def test_shapes_that_disagree_are_named(change: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(InputError) as refused:
        replace(history(), **change)
    assert message in str(refused.value) and "its mask has (2, 5)" in str(refused.value)


def test_every_part_is_changed_alike_and_what_is_not_there_stays_so() -> None:
    whole = history()
    part = whole.map(lambda values: values[1:, 2:])
    assert part.attention is None
    assert part.times.tolist() == [[37, 38, 39]]
    assert part.dones is not None and part.dones.tolist() == [[False, False, True]]
    assert all(value.shape[:2] == (1, 3) for value in vars(part).values() if value is not None)


def test_a_shortened_history_has_what_was_kept_with_its_times() -> None:
    kept = Selection(torch.tensor([[1, 4], [3, 0]]), torch.tensor([[True, True], [True, False]]))
    short = shorten(history(), kept)
    assert short.times.tolist() == [[31, 34], [38, -1]]
    assert short.states[..., 0].tolist() == [[1, 4], [8, -1]]
    assert short.rewards.tolist() == [[1.0, 4.0], [8.0, -1.0]]
    assert short.valid.tolist() == [[True, True], [True, False]]
    assert short.dones is not None and short.dones.tolist() == [[False, False], [False, False]]


def test_a_choice_is_narrowed_to_its_longest_row() -> None:
    mask = torch.tensor([[True, False, False], [True, True, False]])
    narrow = narrowed(Selection(torch.tensor([[2, 0, 0], [0, 3, 0]]), mask))
    assert narrow.indices.tolist() == [[2, 0], [0, 3]]
    assert narrow.mask.tolist() == [[True, False], [True, True]]
    assert narrowed(Selection(torch.zeros(2, 3, dtype=torch.int64), torch.zeros_like(mask))).mask.shape == (2, 0)


def test_what_stands_for_nothing_is_no_number_that_counts() -> None:
    assert [nothing(dtype) for dtype in (torch.int64, torch.float32, torch.uint8)] == [-1, -1, 255]


def test_what_it_shows_of_itself() -> None:
    whole = replace(history(), valid=torch.tensor([[True] * 5, [True, True, True, False, False]]))
    assert repr(whole) == (
        "History(2 rows x 5 transitions, 3..5 of a row valid, times 30..37, states of 2 numbers, with dones)"
    )
    empty = whole.map(lambda values: values[:, :0])
    assert repr(empty).startswith("History(2 rows x 0 transitions, 0 of a row valid, times none")
    assert repr(Selection(torch.zeros(2, 5, dtype=torch.int64), whole.valid)) == (
        "Selection(2 rows, 3..5 transitions of a row)"
    )
