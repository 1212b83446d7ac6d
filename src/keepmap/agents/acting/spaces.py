"""Which environments an agent can act in: spaces that hold the same whole numbers are the same, whatever their kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from gymnasium.vector import VectorEnv
from jaxtyping import Int
from torch import Tensor

from keepmap.agents.transformer import DecisionShape
from keepmap.errors import InputError

__all__ = ["action_writer", "check_spaces", "read_observations", "value_counts", "whole_numbers"]


def value_counts(space: "Space[Any]") -> tuple[int, ...] | None:
    """How many values each coordinate of a space has, where they are the whole numbers from 0 on; else None.

    >>> value_counts(MultiDiscrete([9, 9])) == value_counts(Box(0, 8, (2,), np.int32)) == (9, 9)
    True
    """
    match space:
        case Discrete() if space.start == 0:
            return (int(space.n),)
        case MultiDiscrete() if space.nvec.ndim == 1 and not space.start.any():
            return tuple(space.nvec.tolist())
        case MultiBinary() if len(space.shape) == 1:
            return (2,) * space.shape[0]
        case Box() if len(space.shape) == 1 and space.dtype is not None and space.dtype.kind in "iu":
            return None if space.low.any() else tuple(int(high) + 1 for high in space.high)
    return None


def check_spaces(shape: DecisionShape, envs: object) -> None:
    """Whether a model can act in these environments.

    Raises:
        InputError: they are no vector of environments, or have other spaces than the model.
    """
    if not isinstance(envs, VectorEnv):
        raise InputError(
            f"expected `envs` to be a vector of environments, as gymnasium.make_vec makes, got {type(envs).__name__}"
        )
    observed, acted = envs.single_observation_space, envs.single_action_space
    if value_counts(observed) != shape.observation_sizes or value_counts(acted) != (shape.n_actions,):
        raise InputError(
            f"expected `envs` to have the spaces MultiDiscrete({list(shape.observation_sizes)}) and Discrete("
            f"{shape.n_actions}) that the agent was trained on, or others of the same whole numbers, got "
            f"{_one_line(observed)} and {_one_line(acted)}"
        )


def read_observations(observations: Any, shape: DecisionShape) -> Int[Tensor, "n S"]:
    """Observations of n environments as the model reads them.

    Raises:
        InputError: one is not in the space.
    """
    states = whole_numbers(observations)
    states = states.reshape(len(states), -1)
    sizes = shape.observation_sizes
    if states.shape[1] != len(sizes) or (states < 0).any() or (states >= np.array(sizes)).any():
        raise InputError(
            f"an environment gave an observation outside of its space: expected {len(sizes)} coordinates of "
            f"{sizes} values, got {states.shape[1]} from {states.min()} to {states.max()}"
        )
    return torch.from_numpy(states)


def whole_numbers(values: Any) -> Int[np.ndarray, "..."]:
    """The same numbers as int64, which is exact.

    Raises:
        InputError: one is no whole number.
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.astype(np.int64, copy=False)
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        raise InputError("an environment gave an observation that is not whole numbers, as its space has it")
    return whole


def action_writer(envs: "VectorEnv[Any, Any, Any]") -> Callable[[Int[np.ndarray, " n"]], np.ndarray]:
    """From the numbers of n actions to what `envs.step` takes."""
    space = envs.single_action_space
    shape, dtype = (envs.num_envs, *(space.shape or ())), space.dtype
    return lambda actions: actions.reshape(shape).astype(dtype, copy=False)


def _one_line(space: "Space[Any]") -> str:
    return " ".join(str(space).split())
