"""What the last queries pay to the entries before them, smoothed over neighbours: SnapKV's score."""

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.errors import InputError
from keepmap.kv.method import HeldInput

__all__ = ["check_kernel", "paid_before"]


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
