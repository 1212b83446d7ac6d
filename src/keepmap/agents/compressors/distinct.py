"""The most recent of each distinct (state, action, reward)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import repeats, top
from keepmap.agents.compressor import Compressor, History, at_least

__all__ = ["DistinctCompressor"]


@dataclass(frozen=True)
class DistinctCompressor(Compressor):
    """Keeps no (s, a, r) twice while there is something else to keep.

    A repeat has the same state, action and reward as a more recent transition. First come those that are no repeats,
    then repeats where there is room; in each group the most recent. Always keeps the newest.

    Attributes:
        target_length: how many, 1 or more.

    Reference: none; deduplication.

    Differs from the guide: the guide has no controls.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> states[0, 4] = states[0, 5]
    >>> kept = keepmap.DistinctCompressor(target_length=3).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()
    [[2, 3, 5]]
    """

    target_length: int = 10

    name: ClassVar[str] = "distinct"
    keeps_newest: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        parts = [*history.states.unbind(2), history.actions, history.rewards]
        return top(history.valid, (~repeats(history.valid, parts)).to(torch.uint8), self.target_length)
