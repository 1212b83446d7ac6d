"""From users' arrays to a history, and back."""

import numpy as np
import pytest
import torch

from keepmap.agents.arrays import as_history, taken
from keepmap.agents.history import Selection
from keepmap.errors import InputError

STATES = np.arange(12).reshape(2, 3, 2)
ACTIONS = np.array([[0, 1, 2], [2, 1, 0]])
REWARDS = np.zeros((2, 3))


def test_times_count_from_the_first_transition_and_all_are_valid() -> None:
    history = as_history(STATES, ACTIONS, REWARDS, STATES + 1, None, None)
    assert history.times.tolist() == [[0, 1, 2]] * 2
    assert history.valid.all() and history.attention is None
    assert torch.equal(history.next_states, history.states + 1)


@pytest.mark.parametrize("actions", [ACTIONS[..., None], np.eye(3)[ACTIONS], ACTIONS.astype(np.float64)])
def test_actions_are_numbers_whatever_way_they_are_written(actions: np.ndarray) -> None:
    history = as_history(STATES, actions, REWARDS[..., None], STATES, None, None)
    assert history.actions.tolist() == ACTIONS.tolist()
    assert history.rewards.shape == (2, 3)


def test_equal_actions_of_other_kinds_get_equal_numbers() -> None:
    actions = np.array([[[0.5, 1], [2, 2], [0.5, 1]], [[2, 2], [0, 0], [0, 0]]])
    numbers = as_history(STATES, actions, REWARDS, STATES, None, None).actions
    assert numbers[0, 0] == numbers[0, 2] and numbers[0, 1] == numbers[1, 0] and numbers[1, 1] == numbers[1, 2]
    assert len(set(numbers.flatten().tolist())) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": STATES[0]}, "states have the shape (3, 2); give (batch, transitions, state)"),
        ({"rewards": np.zeros((2, 4))}, "rewards have the shape (2, 4) and states (2, 3, 2)"),
        ({"actions": torch.zeros(2, 3)}, "states are a torch or numpy array and actions a tensor"),
        ({"next_states": STATES.astype(complex)}, "next_states are of type complex128"),
        ({"mask": np.full((2, 3), 2)}, "the mask holds other values than True and False"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    arrays = {"states": STATES, "actions": ACTIONS, "rewards": REWARDS, "next_states": STATES}
    with pytest.raises(InputError) as refused:
        as_history(**{"attention": None, "mask": None} | arrays | change)  # type: ignore[arg-type]
    assert message in str(refused.value)


def test_what_is_taken_stands_first_and_the_rest_is_marked() -> None:
    kept = Selection(torch.tensor([[0, 2, 0], [1, 0, 0]]), torch.tensor([[True, True, False], [True, False, False]]))
    compressed = taken((STATES, ACTIONS.astype(np.uint8), REWARDS, STATES), kept)
    states, actions, rewards, _ = compressed
    assert states.tolist() == [[[0, 1], [4, 5]], [[8, 9], [-1, -1]]]
    assert actions.tolist() == [[0, 2], [1, 255]]
    assert np.isnan(rewards[1, 1]) and compressed.mask.tolist() == [[True, True], [True, False]]
    assert repr(compressed) == (
        "Compressed(3 transitions in 2 rows: states (2, 2, 2), actions (2, 2), rewards (2, 2), next_states (2, 2, 2))"
    )
    with pytest.raises(InputError, match="which booleans cannot show"):
        taken((STATES, ACTIONS > 0, REWARDS, STATES), kept)
