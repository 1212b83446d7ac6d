"""The newest transition and drawn ones: the control that every compressor has to beat."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import draws, recent, top
from keepmap.agents.compressor import Compressor, History, at_least

__all__ = ["RandomCompressor"]


@dataclass(frozen=True)
class RandomCompressor(Compressor):
    """Keeps the newest transition and others drawn evenly: the control that every compressor has to beat.

    Each transition has a draw of its own, from (seed, time) alone, and beside the newest the highest draws are kept: as
    the history grows, the kept ones stay unless a new one pushes them out, and what was dropped never comes back. The
    newest is kept in any case, since without it an agent is mostly lost, and every rule that keeps it would pass for
    insight; `random_without_newest` draws it as any other.

    Attributes:
        target_length: how many, 1 or more.
        seed: of the draws.

    Reference: the draw is SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 16).

    Differs from the guide: the guide has no controls.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.RandomCompressor(target_length=3, seed=5).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()
    [[0, 4, 5]]
    """

    target_length: int = 10
    seed: int = 0

    name: ClassVar[str] = "random"
    keeps_newest: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)
        at_least(0, seed=self.seed)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        newest = recent(history.valid, 1)
        others = top(history.valid & ~newest, draws(self.seed, history.times), self.target_length - 1)
        return newest | others
