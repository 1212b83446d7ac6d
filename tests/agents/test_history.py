"""A history by itself: its shapes, its parts, what is left of it, and what it shows of itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from keepmap.agents.acting import load_agent
from keepmap.agents.history import History, Selection, narrowed, nothing, shorten
from keepmap.attention import profile_attention
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


def test_a_history_of_one_agents_arrays_is_what_an_agent_reads() -> None:
    agent = load_agent()
    states, ends = np.array([[4, 4], [4, 5], [3, 5]]), [False, True, False]
    plain = History.from_arrays(states.tolist(), [3, 0, 4], [0, 0, 1], states + 0, ends)
    assert plain.dones is not None and plain.dones.tolist() == [ends] and plain.times.tolist() == [[0, 1, 2]]
    batch = History.from_arrays(states[None], torch.tensor([[3, 0, 4]]), np.array([[0.0, 0.0, 1.0]]), states[None])
    doubled = replace(batch, rewards=batch.rewards.double())
    first, *others = (profile_attention(agent, history).received for history in (plain, batch, doubled))
    assert all(torch.equal(first, other) for other in others)


def test_states_of_one_number_and_actions_of_any_kind() -> None:
    history = History.from_arrays(range(4), np.eye(4)[[1, 0, 2, 2]], np.zeros(4, np.float32), range(1, 5))
    assert history.states[0, :, 0].tolist() == [0, 1, 2, 3] and history.actions.tolist() == [[1, 0, 2, 2]]
    both = History.from_arrays(np.zeros((2, 3)), np.zeros((2, 3, 1), int), np.zeros((2, 3)), np.ones((2, 3)))
    assert both.states.shape == (2, 3, 1) and both.dones is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"states": "here"}, "expected `states` to be an array of numbers, got a str"),
        ({"states": [[1], [2, 3]]}, "expected `states` to be an array of numbers, got rows of different lengths"),
        (
            {"rewards": np.zeros((1, 2, 1))},
            r"expected `rewards` to be \[n\] of one agent or \[B, n\] .*1, 2, 1",
        ),
        ({"actions": [1, 2, 3]}, r"expected `actions` to fit `rewards` of the shape \(1, 2\), got \(1, 3\)"),
        ({"episode_ends": [True]}, r"expected `episode_ends` to fit `rewards` of the shape \(1, 2\), got \(1, 1\)"),
        ({"episode_ends": [0, 2]}, "expected `episode_ends` to be True and False"),
    ],
    ids=str,
)
def test_what_is_no_history_is_said(changed: dict[str, object], message: str) -> None:
    arrays: dict[str, object] = {"states": [0, 1], "actions": [0, 1], "rewards": [0, 1], "next_states": [1, 2]}
    with pytest.raises(InputError, match=message):
        History.from_arrays(**(arrays | changed))
