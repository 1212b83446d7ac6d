"""Random numbers that depend on what they are for, and on nothing else: SplitMix64 as a hash."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["seeded", "stir", "uniform"]

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def seeded(seed: int, device: torch.device) -> Int[Tensor, ""]:
    """The state that a seed gives; add a number and stir it for each thing that the draw is for."""
    return stir(torch.full((), _signed(seed), dtype=torch.int64, device=device))


def stir(state: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """One step of SplitMix64: 64 random bits; int64 products wrap around, as the generator wants."""
    state = state + _signed(_GOLDEN)
    state = (state ^ _shifted(state, 30)) * _signed(_MIX_1)
    state = (state ^ _shifted(state, 27)) * _signed(_MIX_2)
    return state ^ _shifted(state, 31)


def uniform(bits: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The top 24 of 64 random bits as a float32 in [0, 1)."""
    return ((bits >> 40) & 0xFFFFFF).to(torch.float32) / (1 << 24)


def _shifted(state: Int[Tensor, "*shape"], by: int) -> Int[Tensor, "*shape"]:
    """Logical right shift: torch's own keeps the sign."""
    return (state >> by) & ((1 << (64 - by)) - 1)


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value
