"""Users' numbers as tensors."""

import numpy as np
import pytest
import torch

from keepmap.agents.numbers import as_tensor, one_number
from keepmap.errors import InputError


@pytest.mark.parametrize("kind", ["uint8", "uint64", "int16", "float16", "bool"])
def test_types_that_torch_can_do_everything_with(kind: str) -> None:
    numbers = as_tensor("states", np.ones(3, dtype=kind))
    expected = {"float16": torch.float64, "bool": torch.bool}.get(kind, torch.int64)
    assert numbers.dtype == expected and numbers.tolist() == [1, 1, 1]


def test_tensors_stay_what_they_are_without_their_gradients() -> None:
    given = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    assert as_tensor("states", given).dtype == torch.bfloat16 and not as_tensor("states", given).requires_grad


@pytest.mark.parametrize("value", ["here", None, [[1], [2, 3]], np.array(["a"]), torch.ones(2, dtype=torch.complex64)])
def test_what_holds_no_numbers_is_said(value: object) -> None:
    with pytest.raises(InputError, match="states"):
        as_tensor("states", value)


def test_an_action_is_one_number() -> None:
    assert one_number(torch.tensor([[1.0, 0.0]])).tolist() == [[1, 0]]
    assert one_number(torch.eye(3)[None, [2, 0]]).tolist() == [[2, 0]]
    assert one_number(torch.tensor([[[0.5, 0.1], [0.2, 0.3], [0.5, 0.1]]])).tolist() == [[1, 0, 1]]
