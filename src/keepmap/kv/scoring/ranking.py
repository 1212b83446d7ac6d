"""What is kept before all else, whatever the others score.

G KV head · K entries that the fullest head holds.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["MOST", "best", "leading"]

MOST = float(torch.finfo(torch.float32).max)
"""What it scores."""


def best(scores: Float[Tensor, "G K"], among: Bool[Tensor, "G K"], count: Int[Tensor, " G"]) -> Bool[Tensor, "G K"]:
    """The `count` highest of each head `among` those; on a tie the later ones, as the earlier one goes first.

    >>> best(torch.tensor([[0.5, 2.0, 0.5]]), torch.tensor([[True, True, True]]), torch.tensor([2]))
    tensor([[False,  True,  True]])
    """
    order = scores.masked_fill(~among, float("-inf")).argsort(dim=1, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    from_top = order.shape[1] - torch.empty_like(order).scatter_(1, order, places)
    # A score that is no number decides nothing: it is refused where it would.
    return among & (from_top <= count[:, None]) & ~scores.isnan()


def leading(
    scores: Float[Tensor, "G K"],
    among: Bool[Tensor, "G K"],
    share: float,
    at_most: Int[Tensor, " G"] | None = None,
) -> Bool[Tensor, "G K"]:
    """The highest of each head `among` those, as many as have less than `share` of the sum together.

    >>> leading(torch.tensor([[0.1, 0.6, 0.3]]), torch.tensor([[True, True, True]]), 0.9)
    tensor([[False,  True, False]])

    Args:
        at_most: no more than so many.
    """
    counted = scores.masked_fill(~among, 0.0)
    total = counted.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    so_far = (counted / total).sort(dim=1, descending=True).values.cumsum(dim=1)
    count = (so_far < share).sum(dim=1)
    return best(scores, among, count if at_most is None else torch.minimum(count, at_most))
