"""What the last queries pay to the entries before them, smoothed over neighbours: SnapKV's score."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.errors import InputError
from keepmap.kv.method import HeldInput, Reviewed

__all__ = ["Observed", "check_kernel", "paid_before"]


def paid_before(held: HeldInput, kernel: int) -> Float[Tensor, "G K"]:
    """The mean attention of the observing queries and of the group, then over `kernel` neighbours; 1 for the positions
    of those queries, which is more than any attention.

    Neighbours are entries that stand beside it among those that are held and lie before the observing queries; beyond
    either end they count as 0.
    """
    heads, width = held.positions.shape
    before = held.is_held & (held.positions < held.observers[0])
    paid = held.attention.mean(dim=1).view(heads, -1, width).mean(dim=1) * before
    smooth = torch.nn.functional.avg_pool1d(paid[:, None], kernel, 1, kernel // 2)[:, 0]
    return torch.where(before, smooth, 1.0)


def check_kernel(queries: object, kernel: object) -> None:
    """Whether there is an observing query, and a neighbourhood has a middle.

    Raises:
        InputError: there is none, or it has none.
    """
    as_integer("queries", queries, 1)
    if as_integer("kernel", kernel, 1) % 2 == 0:
        raise InputError(f"expected `kernel` to be an odd number, got {kernel}")


@dataclass(frozen=True)
class Observed(Reviewed):
    """SnapKV's score and its usual protection; who shares the budget is said by the final class.

    Attributes:
        queries: how many of the last queries observe.
        kernel: over how many neighbours the mean is taken, itself among them; an odd number. 1 takes none.
    """

    queries: int = 32
    kernel: int = 5

    needs: ClassVar[str] = "window"
    n_sink: ClassVar[int] = 0
    window: ClassVar[int] = 32
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False
    needs_hidden: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_kernel(self.queries, self.kernel)

    @property
    def observes(self) -> int:
        """The observing queries."""
        return self.queries

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The mean attention of the last queries, of neighbours."""
        return paid_before(held, self.kernel)
