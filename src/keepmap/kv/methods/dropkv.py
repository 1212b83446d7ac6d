"""What dropping an entry would change in the outputs of the last queries."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.kv.method import HeldInput, Reviewed

__all__ = ["DropKV"]

_MOST = 1.0 - 2.0**-20
"""A query that looks at one entry alone has no output without it."""


@dataclass(frozen=True)
class DropKV(Reviewed):
    """The squared change of the last queries' outputs if the entry alone were dropped, summed over these queries.

    Where a query gives an entry the share a, and its output is o, that output without the entry differs from o by
    a / (1 - a) * ||v - o||. The mean is taken over the group's query heads. Positions of the observing queries score
    float32's largest number.

    Attributes:
        queries: how many of the last queries observe.

    Reference: kvpress's thread 284 (DropKVPress), the formula as it stands there.
    Differs from the paper: decided again at each step, of what is held then; outputs are before the layer's output
        projection.
    """

    queries: int = 32

    name: ClassVar[str] = "dropkv"
    label: ClassVar[str] = "DropKV"
    needs: ClassVar[str] = "window"
    n_sink: ClassVar[int] = 0
    window: ClassVar[int] = 32
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False
    needs_hidden: ClassVar[bool] = False

    def __post_init__(self) -> None:
        as_integer("queries", self.queries, 1)

    @property
    def observes(self) -> int:
        """The observing queries."""
        return self.queries

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The sum of squared changes."""
        heads, width = held.positions.shape
        paid = held.attention.view(heads, -1, width)  # the group's heads and their queries
        values = held.values.to(paid.dtype)
        outputs = paid @ values
        apart = (
            values.square().sum(-1)[:, None]
            - 2 * outputs @ values.transpose(1, 2)
            + outputs.square().sum(-1)[..., None]
        )
        odds = paid.clamp(max=_MOST) / (1 - paid.clamp(max=_MOST))
        group = held.queries.shape[0] // heads
        change = (odds.square() * apart.clamp(min=0.0)).sum(dim=1) / group
        return torch.where(held.positions < held.observers[0], change, torch.finfo(torch.float32).max)
