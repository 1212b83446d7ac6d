"""The transitions whose states are nearest to the agent's."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import recent, top
from keepmap.agents.compressor import Compressor, History, at_least, states_now

__all__ = ["NearestCompressor"]


@dataclass(frozen=True)
class NearestCompressor(Compressor):
    """Keeps the transitions that began nearest to where the agent is now, and the newest one.

    Near is by the sum of the squared differences of the states' numbers; of equally near ones the more recent come
    first. What was dropped comes back when the agent is near it again.

    Attributes:
        target_length: how many, 1 or more.

    Reference: Schmied et al., Retrieval-Augmented Decision Transformer, arXiv 2410.07071.

    Differs from the paper: single transitions are found by their states, where the paper finds pieces of trajectories
    by a trained embedding, ranks them again by return, and attends to them by cross-attention.

    >>> import keepmap, torch
    >>> states = torch.tensor([[[0, 0], [0, 1], [4, 4], [3, 4], [0, 2], [8, 8]]])
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.NearestCompressor(target_length=3).compress(
    ...     states, actions, rewards, states, query_states=torch.tensor([[0, 0]])
    ... )
    >>> kept.indices.tolist()
    [[0, 1, 5]]
    """

    target_length: int = 10

    name: ClassVar[str] = "nearest"
    keeps_newest: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        away = (history.states.double() - states_now(history).double()).square().sum(2)
        newest = recent(history.valid, 1)
        # What stands where there is no transition is no number to sort by.
        nearness = -away.masked_fill(~history.valid | away.isnan(), torch.inf)
        return newest | top(history.valid & ~newest, nearness, self.target_length - 1)
