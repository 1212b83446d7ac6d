"""A draw per entry: the control that every method has to beat."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.methods.base import LayerInput, Scored

__all__ = ["Random", "RandomValidation", "uniform"]

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


@dataclass(frozen=True)
class Random(Scored):
    """Scores drawn uniformly from [0, 1), each from (seed, layer, KV head, position) alone.

    A score therefore does not depend on chunking, batching, device or order. A threshold of t keeps a share of 1 - t.

    Reference: the draw is SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 16), its top 24 bits over 2**24.
    """

    name: ClassVar[str] = "random"
    label: ClassVar[str] = "Random"
    needs: ClassVar[str] = "position"
    threshold: ClassVar[float | None] = 0.85

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """Uniform draws."""
        heads, n = layer.keys.shape[:2]
        device = layer.keys.device
        state = _stir(torch.full((), _signed(layer.seed), dtype=torch.int64, device=device))
        state = _stir(state + layer.layer)
        state = _stir(state + torch.arange(heads, device=device))
        return uniform(_stir(state[:, None] + torch.arange(n, device=device)))


@dataclass(frozen=True)
class RandomValidation(Random):
    """Random with a threshold of 1.0: no draw reaches it, so it must equal StreamingLLM to the last bit.

    The check of a comparison: if the two differ, the protection of sinks or window is broken.
    """

    name: ClassVar[str] = "random_validation"
    label: ClassVar[str] = "Random(threshold=1.0)"
    threshold: ClassVar[float | None] = 1.0


def uniform(bits: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The top 24 of 64 random bits as a float32 in [0, 1)."""
    return ((bits >> 40) & 0xFFFFFF).to(torch.float32) / (1 << 24)


def _stir(state: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """One step of SplitMix64; int64 products wrap around, as the generator wants."""
    state = state + _signed(_GOLDEN)
    state = (state ^ _shifted(state, 30)) * _signed(_MIX_1)
    state = (state ^ _shifted(state, 27)) * _signed(_MIX_2)
    return state ^ _shifted(state, 31)


def _shifted(state: Int[Tensor, "*shape"], by: int) -> Int[Tensor, "*shape"]:
    """Logical right shift: torch's own keeps the sign."""
    return (state >> by) & ((1 << (64 - by)) - 1)


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value
