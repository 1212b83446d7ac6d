"""The most recent transitions."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import recent
from keepmap.agents.compressor import Compressor, History, at_least

__all__ = ["RecencyCompressor"]


@dataclass(frozen=True)
class RecencyCompressor(Compressor):
    """Keeps the most recent transitions.

    For agents whose attention leans to the recent end (recent/distant ratio above 2.0). Always keeps the newest.

    Attributes:
        keep_recent: how many, 1 or more.

    Reference: none; the sliding window.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.RecencyCompressor(keep_recent=2).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()
    [[4, 5]]
    """

    keep_recent: int = 10

    name: ClassVar[str] = "recency"
    length_option: ClassVar[str] = "keep_recent"
    keeps_newest: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, keep_recent=self.keep_recent)

    @property
    def max_length(self) -> int:
        return self.keep_recent

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        return recent(history.valid, self.keep_recent)
