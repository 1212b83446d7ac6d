"""The most that any of the last queries looks at an entry, and what its value adds to the output."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_number
from keepmap.kv.method import HeldInput, Reviewed
from keepmap.kv.scoring.observed import check_kernel
from keepmap.kv.scoring.projection import over_heads
from keepmap.kv.scoring.ranking import MOST, leading

__all__ = ["DefensiveKV"]

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class DefensiveKV(Reviewed):
    """Judges by the worst case: the largest attention of the last queries and of the group, at least their mean.

    Each query's attention is smoothed over neighbours that are held before the observing queries. Its largest value, or
    the head's mean of these where that is more, is multiplied by ||W_o v||_1 over the mean of the heads that hold the
    position. The entries that together have a share `first` of the mean attention score float32's largest number, as
    many as the budget holds; so do positions of the observing queries. The heads of a layer share their budget.

    Attributes:
        queries: how many of the last queries observe.
        kernel: over how many neighbours the mean is taken, itself among them; an odd number. 1 takes none.
        first: the share of the mean attention whose entries are kept before all else.

    Reference: Feng et al. 2025, arXiv:2510.13334; read in the authors' code (EfficientDefensiveKVPress).
    Differs from the paper: decided again at each step, not once after the prompt (`mode="once"` is that); the code
        takes from `first` what the 32 positions before the observing queries receive, here nothing is taken off.
        Layer-DefensiveKV is this with `budget_by="model"`. With `interval` 128 the lengths are cheap.
    """

    queries: int = 32
    kernel: int = 5
    first: float = 0.9

    name: ClassVar[str] = "defensivekv"
    label: ClassVar[str] = "DefensiveKV"
    needs: ClassVar[str] = "window"
    n_sink: ClassVar[int] = 0
    window: ClassVar[int] = 32
    density: ClassVar[float | None] = 0.2
    budget_by: ClassVar[str] = "layer"
    is_usual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False
    needs_norms: ClassVar[bool] = True
    needs_capacity: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_kernel(self.queries, self.kernel)
        as_number("first", self.first, 0.0, 1.0)

    @property
    def observes(self) -> int:
        """The observing queries."""
        return self.queries

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The worst case, and the value's length."""
        assert held.norms is not None  # declared above
        heads, width = held.positions.shape
        before = held.is_held & ~held.is_observer
        paid = held.attention.view(heads, -1, width) * before[:, None]
        smooth = torch.nn.functional.avg_pool1d(paid, self.kernel, 1, self.kernel // 2) * before[:, None]
        smooth *= paid.sum(dim=2, keepdim=True) / smooth.sum(dim=2, keepdim=True).clamp(min=_TINY)
        worst = smooth.amax(dim=1)
        worst = worst.clamp(min=worst.sum(dim=1, keepdim=True) / before.sum(dim=1, keepdim=True).clamp(min=1))
        capacity = None if held.capacity is None else held.capacity + (before & ~held.compressible).sum(dim=1)
        first = leading(paid.mean(dim=1), before, self.first, capacity)
        scores = (worst * over_heads(held.norms, held)).masked_fill(first, MOST)
        return torch.where(held.is_observer, MOST, scores)
