"""SnapKV's score, under a budget that shrinks from layer to layer."""

from dataclasses import dataclass
from typing import ClassVar

from keepmap.kv.scoring.observed import Observed

__all__ = ["PyramidKV"]


@dataclass(frozen=True)
class PyramidKV(Observed):
    """Scores as `snapkv` does, and gives later layers less: `budget_by="pyramid"` is its default.

    The heads of the last layer hold a twentieth of the even part, those of the first one the even part twice, less
    that; in between it falls in equal steps. Where the first layer would hold more than there is, it holds all, and the
    last one what that leaves.

    Attributes:
        queries: how many of the last queries observe.
        kernel: over how many neighbours the mean is taken, itself among them; an odd number. 1 takes none.

    Reference: Cai et al. 2024, arXiv:2406.02069, section 4; read in kvpress's PyramidKVPress, whose beta of 20 this is.
    Differs from the paper: decided again at each step, not once after the prompt (`mode="once"` is that); the scorer's
        window and kernel are those of `snapkv` here, and what is protected comes on top of the budget. kvpress rounds
        to the nearest count, and goes back to even budgets where the last layer's would be less than the window.
    """

    name: ClassVar[str] = "pyramidkv"
    label: ClassVar[str] = "PyramidKV"
    budget_by: ClassVar[str] = "pyramid"
