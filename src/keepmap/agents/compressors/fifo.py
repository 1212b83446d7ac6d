"""A queue: the newest transitions, the oldest of which go several at a time."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import recent
from keepmap.agents.compressor import Compressor, History, at_least
from keepmap.errors import InputError

__all__ = ["FifoCompressor"]


@dataclass(frozen=True)
class FifoCompressor(Compressor):
    """Keeps a queue: first in, first out.

    Every transition joins. When `target_length` are held and one more comes, the `drop` oldest go at once. How many are
    held follows from the time of the newest transition, so that what has gone stays gone. With `drop` 1 it is
    `recency`. Always keeps the newest.

    Attributes:
        target_length: how many at most, 1 or more.
        drop: how many go at once, 1 to `target_length`.

    Reference: the memory at test time of Vintix II (arXiv 2604.05112).

    Differs from the paper: there, one transition goes at a time (`drop` 1).

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.FifoCompressor(target_length=4, drop=3).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()  # the fifth transition sent three away
    [[3, 4, 5]]
    """

    target_length: int = 10
    drop: int = 1

    name: ClassVar[str] = "fifo"
    keeps_newest: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length, drop=self.drop)
        if self.drop > self.target_length:
            raise InputError(f"drop {self.drop} is above target_length {self.target_length}; it must not be")

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        if not history.valid.shape[1]:
            return history.valid
        came = history.times.masked_fill(~history.valid, -1).amax(1, keepdim=True) + 1
        after = (came - self.target_length - 1) % self.drop + self.target_length - self.drop + 1
        return recent(history.valid, torch.where(came > self.target_length, after, self.target_length))
