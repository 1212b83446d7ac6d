"""The most recent transitions, and drawn ones of the others."""

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import draws, recent, top
from keepmap.agents.compressor import Compressor, History, at_least, share_of_one

__all__ = ["RecencyRandomCompressor"]


@dataclass(frozen=True)
class RecencyRandomCompressor(Compressor):
    """Keeps the most recent transitions and others drawn evenly: recency that does not forget all that is old.

    Of `target_length`, so many are the most recent as `recent_share` says, rounded up and 1 at least; the rest is drawn
    as in `random`: what was dropped never comes back.

    Attributes:
        target_length: how many, 1 or more.
        recent_share: which part of them are the most recent, 0 to 1.
        seed: of the draws.

    Reference: the draw is SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 16).

    Differs from the guide: the guide has no controls.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.RecencyRandomCompressor(target_length=4, seed=5).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()
    [[0, 1, 4, 5]]
    """

    target_length: int = 10
    recent_share: float = 0.5
    seed: int = 0

    name: ClassVar[str] = "recency_random"
    keeps_newest: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)
        at_least(0, seed=self.seed)
        share_of_one(recent_share=self.recent_share)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        newest = recent(history.valid, max(1, math.ceil(self.recent_share * self.target_length)))
        room = self.target_length - newest.sum(dim=1)
        return newest | top(history.valid & ~newest, draws(self.seed, history.times), room)
