"""The episodes of the highest returns."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import episodes, recent, top
from keepmap.agents.compressor import Compressor, History, at_least, ends_of

__all__ = ["BestEpisodesCompressor"]


@dataclass(frozen=True)
class BestEpisodesCompressor(Compressor):
    """Keeps the transitions of the episodes with the highest returns, and the newest transition.

    A return is the sum of the rewards that the history holds of an episode; of equal ones the more recent episode comes
    first. The last episode that fits only in part keeps its most recent transitions. Episodes are those of the history:
    of one that begins or ends outside of it, what is inside counts.

    Attributes:
        target_length: how many transitions, 1 or more.

    Reference: none; return-ranked memory.

    Differs from the guide: the guide has no controls.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.BestEpisodesCompressor(target_length=4).compress(
    ...     states, actions, rewards, states + 1, episode_ends=torch.tensor([[0, 0, 1, 0, 0, 1]])
    ... )
    >>> kept.indices.tolist()
    [[0, 1, 2, 5]]
    """

    target_length: int = 10

    name: ClassVar[str] = "best_episodes"
    keeps_newest: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False
    needs_episodes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        number = episodes(history.valid, ends_of(history))
        earned = history.rewards.double().masked_fill(~history.valid, 0)
        returns = torch.zeros(earned.shape[0], earned.shape[1] + 1, dtype=earned.dtype, device=earned.device)
        returns = returns.scatter_add(1, number, earned).gather(1, number)
        newest = recent(history.valid, 1)
        return newest | top(history.valid & ~newest, returns, self.target_length - 1)
