"""The transitions with enough attention."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import shares, top
from keepmap.agents.compressor import Compressor, History, at_least
from keepmap.core.arguments import shown
from keepmap.errors import InputError

__all__ = ["ThresholdCompressor"]


@dataclass(frozen=True)
class ThresholdCompressor(Compressor):
    """Keeps the transitions whose share of the attention to the history reaches a threshold.

    For very sparse attention. How many are kept differs between histories: at least `min_keep` and at most `max_keep`,
    the most attended ones; of equal shares the more recent one. The newest transition is kept only if it is attended
    to. A share of 0.1 can be reached by ten transitions at most, so that long histories with flat attention keep
    `min_keep`: choose the threshold for the length.

    Attributes:
        threshold: of a transition's share, in [0, 1]; shares are renormalised over the history and sum to 1.
        min_keep: 0 or more, kept whatever their share.
        max_keep: `min_keep` or more, and at least 1.

    Reference: none.

    Differs from the guide: attention to the history is renormalised, where the guide's threshold also counted what the
    query gives to itself; rows that keep fewer have a mask, where the guide filled them with zeros that look like data;
    the weights are those of this very history and required, where the guide used an earlier batch's, or silently kept
    the most recent.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> attention = torch.tensor([[0.1, 0.1, 0.4, 0.1, 0.2, 0.1]])
    >>> compressor = keepmap.ThresholdCompressor(threshold=0.2, min_keep=1)
    >>> kept = compressor.compress(states, actions, rewards, states + 1, attention=attention)
    >>> kept.indices.tolist()
    [[2, 4]]
    """

    threshold: float = 0.1
    min_keep: int = 3
    max_keep: int = 20

    name: ClassVar[str] = "threshold"
    length_option: ClassVar[str] = "max_keep"
    needs_attention: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:
            raise InputError(f"expected `threshold` to be a share of attention in [0, 1], got {shown(self.threshold)}")
        at_least(0, min_keep=self.min_keep)
        at_least(1, max_keep=self.max_keep)
        if self.min_keep > self.max_keep:
            raise InputError(f"min_keep {self.min_keep} is above max_keep {self.max_keep}; it must not be")

    @classmethod
    def of_length(cls, length: int) -> "ThresholdCompressor":
        """As for every compressor; a length below `min_keep` takes that along."""
        at_least(1, max_keep=length)
        return cls(min_keep=min(cls.min_keep, length), max_keep=length)

    @property
    def max_length(self) -> int:
        return self.max_keep

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        assert history.attention is not None
        # In float32, so that ten equal weights reach 0.1 whatever the last bit of their sum.
        share = shares(history.valid, history.attention).float()
        reach = history.valid & (share >= torch.tensor(self.threshold, dtype=share.dtype, device=share.device))
        return top(history.valid, history.attention, reach.sum(dim=1).clamp(self.min_keep, self.max_keep))
