"""A memory of the whole life: the most recent transitions, and of the older ones those that are unlike the rest."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.agents.choosing import recent, top
from keepmap.agents.compressor import Compressor, History, at_least, share_of_one

__all__ = ["MemoryCompressor"]


@dataclass(frozen=True)
class MemoryCompressor(Compressor):
    """Remembers beyond the window: holds what it chose from the whole life, the unlike and the most recent.

    Every transition joins. When more than `target_length` are held, one goes for good: of those that are not among the
    most recent, the one that is most like something more recent that is held; of equally alike ones the oldest. Two are
    unlike by the sum of the squared differences of the states', next states' and rewards' numbers, and by 1 more where
    the actions differ. So what was seen once stays, however old, and what was seen again is held as it was last.

    In rollout nothing else is held, and what is held may be as old as the life. Of a history in arrays it keeps what it
    would hold after living through it. An agent has to be trained with it: it leaves out what lies between.

    Attributes:
        target_length: how many, 1 or more.
        recent_share: which part of them are the most recent, 0 to 1, rounded up; the newest in any case.

    Reference: none; diversity by the nearest neighbour.

    Differs from the guide: the guide has no memory beyond the window.

    >>> import keepmap, torch
    >>> states = torch.tensor([[[9, 9], [0, 1], [0, 2], [0, 1], [0, 2], [0, 1]]])
    >>> actions, rewards = torch.zeros(1, 6), torch.zeros(1, 6)
    >>> kept = keepmap.MemoryCompressor(target_length=3, recent_share=0.3).compress(states, actions, rewards, states)
    >>> kept.indices.tolist()
    [[0, 4, 5]]
    """

    target_length: int = 10
    recent_share: float = 0.5

    name: ClassVar[str] = "memory"
    keeps_newest: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)
        share_of_one(recent_share=self.recent_share)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        valid, most = history.valid, self.target_length
        held = torch.zeros_like(valid)
        numbers = torch.cat([history.states, history.next_states, history.rewards[..., None]], 2).double()
        for step in range(valid.shape[1]):
            held[:, step] = valid[:, step]
            full = held[:, : step + 1].sum(1) > most
            if full.any():
                # The places of the held ones, of which each full row has as many.
                places = held[full, : step + 1].nonzero()[:, 1].view(-1, most + 1)
                rows = full.nonzero()
                stay = self._chosen(numbers[rows, places], history.actions[rows, places])
                held[rows, places] = stay
        return held

    def _chosen(self, numbers: Float[Tensor, "b m f"], actions: Int[Tensor, "b m"]) -> Bool[Tensor, "b m"]:
        """All but one of the transitions."""
        unlike = (numbers[:, :, None] - numbers[:, None]).square().sum(3)
        unlike = unlike + (actions[:, :, None] != actions[:, None])
        m = actions.shape[1]
        later = torch.ones(m, m, dtype=torch.bool, device=actions.device).triu(1)
        novelty = unlike.nan_to_num(torch.inf).masked_fill(~later, torch.inf).amin(2)
        there = torch.ones_like(actions, dtype=torch.bool)
        newest = recent(there, max(1, math.ceil(self.recent_share * self.target_length)))
        return top(there, novelty.masked_fill(newest, torch.inf), m - 1)
