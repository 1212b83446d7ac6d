"""SnapKV's score, under a budget that the heads of a layer share."""

from dataclasses import dataclass
from typing import ClassVar

from keepmap.kv.scoring.observed import Observed

__all__ = ["AdaKV"]


@dataclass(frozen=True)
class AdaKV(Observed):
    """Scores as `snapkv` does, and lets the heads of a layer share their budget: `budget_by="layer"` is its default.

    Of what all heads of a layer hold, the lowest-scored goes; but a fifth of its even part, rounded down, each head
    keeps whatever the others score. A head whose attention is spread holds more than one that looks at few positions.

    Attributes:
        queries: how many of the last queries observe.
        kernel: over how many neighbours the mean is taken, itself among them; an odd number. 1 takes none.

    Reference: Feng et al. 2024, arXiv:2407.11550, algorithms 1 and 2; read in kvpress's AdaKVPress.
    Differs from the paper: decided again at each step, not once after the prompt (`mode="once"` is that); the scorer's
        window and kernel are those of `snapkv` here. `budget_by="layer"` gives any other method the same budget.
        kvpress's AdaKVPress masks what it drops rather than freeing it, keeps one at least in every head, and takes
        its fifth of all positions, the protected ones among them.
    """

    name: ClassVar[str] = "adakv"
    label: ClassVar[str] = "AdaKV"
    budget_by: ClassVar[str] = "layer"
