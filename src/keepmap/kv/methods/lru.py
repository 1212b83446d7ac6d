"""How long ago a position was attended to."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.kv.method import HeldInput, Reviewed

__all__ = ["LRU"]


@dataclass(frozen=True)
class LRU(Reviewed):
    """Drops what was attended to least recently: the score is the last of the `queries` newest that attended to it.

    A query attends to an entry where the mean of its group's query heads gives it more than an even share, which is 1
    over what the head holds. An entry that none of these queries attended to scores -1, and the earliest goes first.

    Attributes:
        queries: how many of the last queries are looked at.

    Reference: the control of arXiv:2605.18053, of which the abstract alone was read.
    Differs from the paper: what counts as attended to is defined here, and only the last `queries` are looked at, so
        that nothing is remembered of what came before.
    """

    queries: int = 32

    name: ClassVar[str] = "lru"
    label: ClassVar[str] = "LRU"
    needs: ClassVar[str] = "window"
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False
    needs_hidden: ClassVar[bool] = False

    def __post_init__(self) -> None:
        as_integer("queries", self.queries, 1)

    @property
    def observes(self) -> int:
        """The newest queries."""
        return self.queries

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The position of the last query that attended to each entry."""
        heads, width = held.positions.shape
        paid = held.attention.view(heads, -1, len(held.observers), width).mean(dim=1)
        attended = paid * held.is_held.sum(dim=1)[:, None, None] > 1.0
        times = torch.where(attended, held.observers[:, None], -1)
        return times.amax(dim=1).double()
