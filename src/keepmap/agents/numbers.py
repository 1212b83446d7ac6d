"""Numbers in users' arrays, as tensors that torch can do everything with."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from keepmap.errors import InputError, kind_of

__all__ = ["Array", "as_numbers", "as_tensor", "one_number"]

Array = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]


def as_tensor(name: str, value: object) -> Tensor:
    """A tensor, array or list of numbers.

    Raises:
        InputError: it is none; names the parameter.
    """
    if isinstance(value, Tensor):
        return as_numbers(name, value)
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"expected `{name}` to be an array of numbers, got rows of different lengths") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"expected `{name}` to be an array of numbers, got {kind_of(value)}")
    return as_numbers(name, array)


def as_numbers(name: str, value: Array) -> Tensor:
    """As a tensor; numpy's small and unsigned types become those for which torch can do everything."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise InputError(f"{name} are of type {value.dtype}; give numbers")
        kind: Any = {"b": np.bool_, "f": np.float64}.get(value.dtype.kind, np.int64)
        return torch.from_numpy(np.array(value, dtype=kind))
    if value.is_complex():
        raise InputError(f"{name} are of type {value.dtype}; give real numbers")
    return value.detach()


def one_number(actions: Tensor) -> Int[Tensor, "B n"]:
    """Whole numbers as they are and one-hot vectors as their place; of others, equal ones get equal numbers."""
    actions = actions.squeeze(2) if actions.shape[2:] == (1,) else actions
    if actions.dim() == 2 and bool((actions == actions.round()).all() if actions.is_floating_point() else True):
        return actions.to(torch.int64)
    if actions.dim() == 3 and ((actions == 0) | (actions == 1)).all() and (actions.sum(dim=2) == 1).all():
        return actions.to(torch.int64).argmax(dim=2)
    flat = actions.reshape(actions.shape[0] * actions.shape[1], -1)
    return flat.unique(dim=0, return_inverse=True)[1].reshape(actions.shape[:2])
