"""From the arrays that users hold to a `History`, and from a `Selection` back to such arrays."""

import math
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.agents.history import History, Selection, nothing
from keepmap.agents.numbers import Array, as_numbers, one_number
from keepmap.errors import InputError, kind_of

__all__ = ["Attends", "Compressed", "as_history", "taken", "with_attention"]

NAMES = ("states", "actions", "rewards", "next_states")


class Compressed(tuple[Array, Array, Array, Array]):
    """(states, actions, rewards, next_states) of the kept transitions.

    Attributes:
        mask: [B, m], False where there is no transition.
        indices: [B, m], where each came from; 0 where `mask` is False.
    """

    mask: Array
    indices: Array

    def __new__(cls, arrays: tuple[Array, Array, Array, Array], mask: Array, indices: Array) -> "Compressed":
        """Four arrays that unpack, and two that tell where they come from."""
        compressed = super().__new__(cls, arrays)
        compressed.mask, compressed.indices = mask, indices
        return compressed

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(array.shape)}" for name, array in zip(NAMES, self, strict=True))
        return f"Compressed({int(self.mask.sum())} transitions in {len(self.mask)} rows: {shapes})"


def as_history(
    states: Array,
    actions: Array,
    rewards: Array,
    next_states: Array,
    attention: Array | None,
    mask: Array | None,
    episode_ends: Array | None = None,
    query_states: Array | None = None,
) -> History:
    """Check four arrays of a batch, and see them as a history whose times count from its first transition.

    Raises:
        InputError: not all tensors or all numpy arrays, not numbers, or shapes that disagree.
    """
    parts = dict(zip(NAMES, (states, actions, rewards, next_states), strict=True))
    marks = {"attention": attention, "mask": mask, "episode_ends": episode_ends}
    parts |= {name: value for name, value in marks.items() if value is not None}
    kinds = {name: "tensor" if isinstance(value, Tensor) else "array" for name, value in parts.items()}
    for name, value in parts.items():
        if not isinstance(value, Tensor | np.ndarray):
            raise InputError(f"{name} are a {type(value).__name__}; give torch tensors or numpy arrays")
        if kinds[name] != kinds["states"]:
            raise InputError(f"states are a torch or numpy {kinds['states']} and {name} a {kinds[name]}; give one kind")
    if states.ndim != 3 or not states.shape[2]:
        raise InputError(f"states have the shape {tuple(states.shape)}; give (batch, transitions, state)")
    for name, value in parts.items():
        fits = value.shape == states.shape if name == "next_states" else value.shape[:2] == states.shape[:2]
        deepest = 2 if name in marks else 3
        if not fits or not 2 <= value.ndim <= deepest or (name == "rewards" and value.shape[2:] not in ((), (1,))):
            raise InputError(
                f"{name} have the shape {tuple(value.shape)} and states {tuple(states.shape)}; they must fit"
            )
    if query_states is not None:
        if not isinstance(query_states, type(states)) or tuple(query_states.shape) != (len(states), states.shape[2]):
            raise InputError(
                f"expected `query_states` to be a torch or numpy {kinds['states']} as the states are, of the shape "
                f"({len(states)}, {states.shape[2]}), got {kind_of(query_states)}"
            )
        parts["query_states"] = query_states
    numbers = {name: as_numbers(name, value) for name, value in parts.items()}
    for name in ("mask", "episode_ends"):
        if name in numbers and not ((numbers[name] == 0) | (numbers[name] == 1)).all():
            raise InputError(f"the {name} holds other values than True and False; give a boolean array")
    valid = numbers["mask"] if mask is not None else numbers["states"].new_ones(states.shape[:2], dtype=torch.bool)
    times = torch.arange(states.shape[1], device=valid.device).expand(states.shape[:2])
    return History(
        states=numbers["states"],
        actions=one_number(numbers["actions"]),
        rewards=numbers["rewards"].reshape(states.shape[:2]),
        next_states=numbers["next_states"],
        times=times,
        valid=valid.bool(),
        attention=_floats(numbers["attention"]) if attention is not None else None,
        dones=numbers["episode_ends"].bool() if episode_ends is not None else None,
        here=None if query_states is None else numbers["query_states"][:, None].expand(states.shape),
    )


@runtime_checkable
class Attends(Protocol):
    """What a compressor needs of an agent."""

    def attention(self, history: History, query_states: Int[Tensor, "B S"]) -> Float[Tensor, "B n"]:
        """How much each query state attends to each transition."""


def with_attention(agent: Attends, history: History) -> History:
    """The same history with an agent's attention to it, from where the agent is now: by default where it has led.

    Raises:
        InputError: no agent, states that are not whole numbers, or what the agent does not know.
    """
    if not isinstance(agent, Attends):
        raise InputError(f"expected `agent` to be an agent, as keepmap.load_agent gives, got {kind_of(agent)}")
    gap = ~history.valid
    if not history.valid.any():
        return replace(history, attention=torch.zeros(gap.shape))
    for name in ("states", "next_states", "here"):
        values = getattr(history, name)[history.valid] if getattr(history, name) is not None else gap
        if values.is_floating_point() and not (values == values.round()).all():
            raise InputError(
                f"expected `{name}` to be whole numbers, which an agent knows, got others; pass attention=..."
            )
    # An agent reads whole numbers; what stands at the gaps must be a state that it knows, and is not looked at.
    known = replace(
        history,
        states=history.states.masked_fill(gap[..., None], 0).long(),
        actions=history.actions.masked_fill(gap, 0),
        rewards=history.rewards.float().masked_fill(gap, 0),
        next_states=history.next_states.masked_fill(gap[..., None], 0).long(),
    )
    last = (history.valid * torch.arange(1, gap.shape[1] + 1, device=gap.device)).argmax(dim=1)
    led_to = known.next_states[torch.arange(len(last), device=last.device), last]
    now = led_to if history.here is None else history.here[:, 0].long()
    return replace(history, attention=agent.attention(known, now).to(gap.device))


def taken(arrays: tuple[Array, Array, Array, Array], selection: Selection) -> Compressed:
    """What a selection keeps of four arrays, cut to the longest row.

    Raises:
        InputError: something must be filled up in an array of booleans.
    """
    longest = int(selection.mask.sum(dim=1).max()) if selection.mask.numel() else 0
    indices, mask = selection.indices[:, :longest], selection.mask[:, :longest]
    states, actions, rewards, next_states = (_gathered(value, indices, mask) for value in arrays)
    kept = (states, actions, rewards, next_states)
    if isinstance(states, Tensor):
        return Compressed(kept, mask, indices)
    return Compressed(kept, mask.numpy(), indices.numpy())


def _floats(attention: Tensor) -> Tensor:
    return attention if attention.is_floating_point() else attention.float()


def _gathered(value: Array, indices: Int[Tensor, "B m"], mask: Bool[Tensor, "B m"]) -> Array:
    there = mask.reshape(*mask.shape, *[1] * (value.ndim - 2))
    if isinstance(value, Tensor):
        rows = torch.arange(len(value), device=value.device)[:, None]
        kept = value[rows, indices]
        if mask.all():
            return kept
        _fillable(value.dtype != torch.bool)
        return kept.masked_fill(~there, math.nan if value.is_floating_point() else nothing(value.dtype))
    array = np.take_along_axis(value, indices.numpy().reshape(there.shape), axis=1)
    if mask.all():
        return array
    _fillable(value.dtype.kind != "b")
    number = math.nan if value.dtype.kind == "f" else -1 if value.dtype.kind == "i" else np.iinfo(value.dtype).max
    return np.where(there.numpy(), array, np.array(number, dtype=value.dtype))


def _fillable(fillable: bool) -> None:
    if not fillable:
        raise InputError("rows keep different numbers of transitions, which booleans cannot show; give numbers")
