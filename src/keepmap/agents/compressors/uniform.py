"""Evenly spaced transitions."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import even
from keepmap.agents.compressor import Compressor, History, at_least

__all__ = ["UniformCompressor"]


@dataclass(frozen=True)
class UniformCompressor(Compressor):
    """Keeps evenly spaced transitions, from the oldest to the newest.

    For agents that attend to everything alike (entropy above 2.0). Always keeps the newest and, with a length of 2 or
    more, the oldest.

    Attributes:
        target_length: how many, 1 or more.

    Reference: none.

    Differs from the guide: a length of 1 keeps the newest transition, where the guide's kept the oldest.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.UniformCompressor(target_length=3).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()
    [[0, 2, 5]]
    """

    target_length: int = 10

    name: ClassVar[str] = "uniform"
    keeps_newest: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        return even(history.valid, self.target_length)
