"""Attention of the last queries, less how much a key is like the others."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_integer, as_number
from keepmap.kv.method import HeldInput, Reviewed, to_digits

__all__ = ["RKV"]

_LIKE = 0.5
_KERNEL = 7
_COLUMNS = 64
"""Keys that others are compared with at once."""


@dataclass(frozen=True)
class RKV(Reviewed):
    """Importance less redundancy: `balance` times the last queries' attention, less the rest times how alike a key is.

    The attention is the mean over these queries and the group, then the largest of 7 neighbours that are held. How
    alike is a softmax over what is held of each key's mean cosine with the others; of each key's cosines above 0.5,
    that with the newest key does not count, so that of a repeated phrase the newest stays. Scores are rounded to 13
    binary digits. At worst the cosines are O(K^2) work at each decision: the paper decides at an `interval` of 128.

    Attributes:
        queries: how many of the last queries observe.
        balance: the weight of attention, lambda in the paper.

    Reference: Cai et al. 2025, arXiv:2505.24133, section 3; by a description of the authors' code.
    Differs from the paper: the group's attention is averaged, where the code takes the largest logit of the group
        before one softmax; lambda is the paper's 0.1, the code has 0.07; decided at each step unless `interval` is 128.
    """

    queries: int = 8
    balance: float = 0.1

    name: ClassVar[str] = "r_kv"
    label: ClassVar[str] = "R-KV"
    needs: ClassVar[str] = "window"
    n_sink: ClassVar[int] = 0
    window: ClassVar[int] = 8
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False

    def __post_init__(self) -> None:
        as_integer("queries", self.queries, 1)
        as_number("balance", self.balance, 0.0, 1.0)

    @property
    def observes(self) -> int:
        """The observing queries."""
        return self.queries

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """Attention less likeness."""
        heads, width = held.positions.shape
        paid = held.attention.view(heads, -1, width).mean(dim=1) * held.is_held
        largest = torch.nn.functional.max_pool1d(paid[:, None], _KERNEL, 1, _KERNEL // 2)[:, 0]
        alike = self._likeness(held).masked_fill(~held.is_held, -torch.inf).softmax(dim=1)
        return to_digits(self.balance * largest - (1 - self.balance) * alike)

    def _likeness(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The mean cosine of each key with the others, but for those whose newest like it is.

        The sum of all is one product; which one is a key's newest is found from the end, where most have theirs.
        """
        keys = torch.nn.functional.normalize(held.keys.to(torch.promote_types(held.keys.dtype, torch.float32)), dim=-1)
        total = (keys @ keys.sum(dim=1)[..., None])[..., 0] - keys.square().sum(dim=2)
        column = torch.arange(keys.shape[1], device=keys.device)
        for own, rest, is_held in zip(keys, total, held.is_held, strict=True):
            left = column[is_held]
            for columns in reversed(column.split(_COLUMNS)):
                cosines = own[left] @ own[columns].t()
                newest = torch.where((cosines > _LIKE) & (columns != left[:, None]), columns, -1).amax(dim=1)
                has_one = newest >= 0
                at = newest[has_one]
                rest.index_add_(0, at, cosines[has_one].gather(1, at[:, None] - columns[0])[:, 0], alpha=-1)
                left = left[~has_one]
                if not len(left):
                    break
        return total / held.is_held.sum(dim=1, keepdim=True)
