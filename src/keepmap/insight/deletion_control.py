"""The control of a shortened history: the newest transition, which every agent needs, and others at random."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import draws, recent, top
from keepmap.agents.compressor import Compressor
from keepmap.agents.history import History

__all__ = ["NewestAndRandom"]


@dataclass(frozen=True)
class NewestAndRandom(Compressor):
    """Keeps the newest transition and, drawn evenly as RandomCompressor draws, `target_length` - 1 of the others.

    A stricter control than RandomCompressor: without the newest transition an agent is mostly lost, and every rule that
    keeps it would pass for insight.
    """

    target_length: int
    seed: int = 0

    name: ClassVar[str] = "newest_and_random"
    keeps_newest: ClassVar[bool] = True

    @property
    def max_length(self) -> int:
        """See `Compressor`."""
        return self.target_length

    def _kept(self, history: History) -> Bool[Tensor, "B n"]:
        newest = recent(history.valid, 1)
        others = history.valid & ~newest
        return newest | top(others, draws(self.seed, history.times), self.target_length - 1)
