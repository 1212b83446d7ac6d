"""The first transitions of the life, and the most recent ones."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import recent
from keepmap.agents.compressor import Compressor, History, at_least

__all__ = ["FirstAndRecentCompressor"]


@dataclass(frozen=True)
class FirstAndRecentCompressor(Compressor):
    """Remembers beyond the window: holds the first transitions of the whole life, and the most recent ones.

    In rollout nothing else is held, and the first ones may be as old as the life. Always keeps the newest: of a
    `target_length` that is no more than `first`, all but one are the first.

    Attributes:
        target_length: how many, 1 or more.
        first: how many of them are the first, 0 or more.

    Reference: none for agents; of a text, attention sinks and a window (Xiao et al., arXiv 2309.17453).

    Differs from the paper: positions are true ages, where the paper counts them within what is held.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.FirstAndRecentCompressor(target_length=4, first=1).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()
    [[0, 3, 4, 5]]
    """

    target_length: int = 10
    first: int = 4

    name: ClassVar[str] = "first_and_recent"
    keeps_newest: ClassVar[bool] = True
    remembers: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)
        at_least(0, first=self.first)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        first = min(self.first, self.target_length - 1)
        oldest = history.valid & (history.valid.cumsum(1) <= first)
        return oldest | recent(history.valid, self.target_length - first)
