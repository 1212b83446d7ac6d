"""Rewarded and distinct transitions: the control that knows what a history is."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import repeats, top
from keepmap.agents.compressor import Compressor, History, at_least

__all__ = ["RewardAwareCompressor"]


@dataclass(frozen=True)
class RewardAwareCompressor(Compressor):
    """Keeps rewarded transitions first, then other distinct ones, and repeats only if there is room.

    A repeat has the same (s, a, r, s') as a more recent transition. First come the rewarded transitions (reward other
    than 0) that are no repeats, then the others that are no repeats, then repeats; in each group the most recent. The
    newest transition is kept unless rewarded ones take all the room.

    Attributes:
        target_length: how many, 1 or more.

    Reference: none.

    Differs from the guide: the guide has no controls.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.RewardAwareCompressor(target_length=2).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()
    [[1, 5]]
    """

    target_length: int = 10

    name: ClassVar[str] = "reward_aware"

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        parts = [*history.states.unbind(2), history.actions, history.rewards, *history.next_states.unbind(2)]
        first_time = ~repeats(history.valid, parts)
        worth = first_time.to(torch.uint8) * (1 + (history.rewards != 0).to(torch.uint8))
        return top(history.valid, worth, self.target_length)
