"""Products of a few heads' matrices on a few threads."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["product_by_head"]

_PARTS = 8


def product_by_head(
    left: Float[Tensor, "heads B K"], right: Float[Tensor, "heads K D"], out: Float[Tensor, "heads B D"]
) -> Float[Tensor, "heads B D"]:
    """torch.bmm into `out`, on a CPU by parts of each head's rows, so that no thread waits for the last head.

    A thread takes whole matrices of a batch: of three heads on two threads, the last one keeps one thread waiting; of
    eight parts of each head's rows, none does. How many parts there are depends on the shapes alone.

    >>> product_by_head(torch.ones(1, 2, 3), torch.ones(1, 3, 2), torch.empty(1, 2, 2))
    tensor([[[3., 3.],
             [3., 3.]]])
    """
    parts = math.gcd(left.shape[1], _PARTS)
    if left.device.type != "cpu" or parts == 1:
        return torch.bmm(left, right, out=out)
    for rows, columns, products in zip(left, right, out, strict=True):
        some = rows.unflatten(0, (parts, -1))
        torch.bmm(some, columns.expand(parts, -1, -1), out=products.view(parts, -1, out.shape[2]))
    return out
