"""Half of the budget by another method's score, the rest by that and by what the value adds to the output."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_number
from keepmap.kv.method import HeldInput
from keepmap.kv.scoring.ranking import MOST, best
from keepmap.kv.scoring.wrapping import Wrapped

__all__ = ["CriticalKV"]

_EPSILON = 1e-4


@dataclass(frozen=True)
class CriticalKV(Wrapped):
    """Takes the score of `base` times the length of the value behind the output projection, ||W_o v||_1.

    A share `first` of the budget goes to the highest by the base's score alone. All others score (s + 0.0001) *
    ||W_o v||_1, the mean over the group's query heads. Under a threshold there is no budget, and this alone decides; so
    it is where all layers share one. Positions of the base's observing queries score float32's largest number, as does
    the first share.

    Attributes:
        base: the method whose score s is: any that scores what is held anew. Sinks and window are its own.
        first: the share of the budget, rounded down, that its score alone decides.

    Reference: Feng et al. 2025, arXiv:2502.03805, algorithm 1; read in kvpress's CriticalKVPress.
    Differs from the paper: decided again at each step, not once after the prompt (`mode="once"` is that); the budget
        is that of what can be dropped, where kvpress counts protected positions in, and keeps one at least by the base.
        In that mode, on KeyDiff, it keeps what kvpress keeps. The lengths are made anew at each decision where a cache
        generates: with `interval` 128 that is cheap.
    """

    first: float = 0.5

    name: ClassVar[str] = "criticalkv"
    label: ClassVar[str] = "CriticalKV"
    needs_norms: ClassVar[bool] = True
    needs_capacity: ClassVar[bool] = True
    needs_values: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number("first", self.first, 0.0, 1.0)

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The base's score and the value's length; the first share before all else."""
        assert held.norms is not None  # declared above
        base = self.scorer.score(held).double()
        scores = (base + _EPSILON) * held.norms
        if held.capacity is not None:
            first = best(base, held.compressible, (self.first * held.capacity).long())
            scores = scores.masked_fill(first, MOST)
        return torch.where(held.is_observer & ~base.isnan(), MOST, scores)
