"""Drawn transitions, the newest no more likely than any other: what an agent is that forgets its last step."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import draws, top
from keepmap.agents.compressor import Compressor, History, at_least

__all__ = ["RandomWithoutNewestCompressor"]


@dataclass(frozen=True)
class RandomWithoutNewestCompressor(Compressor):
    """Keeps transitions drawn evenly, the newest with the same probability as any other.

    The draws are those of `random`, which keeps the newest in any case. What lies between the two is what the newest
    transition is worth; as a control this one is weak, as an agent without its last step is mostly lost.

    Attributes:
        target_length: how many, 1 or more.
        seed: of the draws.

    Reference: the draw is SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 16).

    Differs from the guide: the guide has no controls.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> compressor = keepmap.RandomWithoutNewestCompressor(target_length=3, seed=5)
    >>> compressor.compress(states, actions, rewards, states + 1).indices.tolist()
    [[0, 1, 4]]
    """

    target_length: int = 10
    seed: int = 0

    name: ClassVar[str] = "random_without_newest"
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)
        at_least(0, seed=self.seed)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        return top(history.valid, draws(self.seed, history.times), self.target_length)
