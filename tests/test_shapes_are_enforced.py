"""Shapes in signatures are checked while the tests run: each of these calls must fail."""

import pytest
import torch
from jaxtyping import TypeCheckError

from keepmap.core.keep_map import KeepMap
from keepmap.kv.choosing import Expiries, Protection, Threshold, choose
from keepmap.kv.method import LayerInput


def test_a_function_refuses_a_wrong_number_of_axes() -> None:
    with pytest.raises(TypeCheckError, match="scores"):
        choose(torch.zeros(5), Threshold(0.0), Protection())


def test_a_function_refuses_a_wrong_kind_of_number() -> None:
    with pytest.raises(TypeCheckError, match="scores"):
        choose(torch.zeros(2, 5, dtype=torch.int64), Threshold(0.0), Protection())


def test_one_name_means_one_size_across_arguments() -> None:
    with pytest.raises(TypeCheckError, match="held"):
        Expiries(torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 6, dtype=torch.bool))


def test_a_dataclass_refuses_a_list() -> None:
    with pytest.raises(TypeCheckError, match="expires"):
        KeepMap([[[1]]], torch.zeros(1, 1, 1))  # type: ignore[arg-type]


def test_a_layer_input_is_checked_across_its_fields() -> None:
    n, heads, size = 3, 2, 4
    with pytest.raises(TypeCheckError, match="values"):
        LayerInput(
            layer=0,
            hidden_states=torch.zeros(n, 8),
            queries=torch.zeros(heads, n, size),
            keys=torch.zeros(heads, n, size),
            values=torch.zeros(heads, n + 1, size),
            rotation=None,
            decided_at=torch.arange(n),
            scaling=1.0,
            n_sink=0,
            seed=0,
        )
