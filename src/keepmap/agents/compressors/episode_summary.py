"""The first, the rewarded and the last transitions of each episode."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import episodes, recent, top
from keepmap.agents.compressor import Compressor, History, at_least, ends_of

__all__ = ["EpisodeSummaryCompressor"]


@dataclass(frozen=True)
class EpisodeSummaryCompressor(Compressor):
    """Keeps the first, the rewarded and the last transitions of each episode, and others where there is room.

    Where these are too many, the most recent of them; where there is room, the most recent of the others. Always keeps
    the newest. A transition is rewarded where its reward is other than 0.

    Attributes:
        target_length: how many, 1 or more.

    Reference: none.

    Differs from the guide: the guide has no controls.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.EpisodeSummaryCompressor(target_length=5).compress(
    ...     states, actions, rewards, states + 1, episode_ends=torch.tensor([[0, 0, 1, 0, 0, 1]])
    ... )
    >>> kept.indices.tolist()
    [[0, 1, 2, 3, 5]]
    """

    target_length: int = 10

    name: ClassVar[str] = "episode_summary"
    keeps_newest: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False
    needs_episodes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        valid, ends = history.valid, ends_of(history)
        number = episodes(valid, ends)
        # A position is the first of its episode where no valid one before it has the same number.
        begun = torch.full_like(number, -1).masked_scatter(valid, number[valid]).cummax(dim=1).values
        first = torch.ones_like(valid)
        first[:, 1:] = number[:, 1:] > begun[:, :-1]
        summary = first | ends | recent(valid, 1) | (history.rewards != 0)
        return top(valid, summary.to(torch.uint8), self.target_length)
