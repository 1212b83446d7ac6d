"""Ever fewer transitions, the further back."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from keepmap.agents.choosing import ages, at_ages, gumbel, lengths, top
from keepmap.agents.compressor import Compressor, History, at_least, positive, yes_or_no

__all__ = ["ExponentialDecayCompressor"]


@dataclass(frozen=True)
class ExponentialDecayCompressor(Compressor):
    """Keeps many recent transitions and ever fewer distant ones, back to the very oldest.

    The gaps between kept transitions grow by the factor exp(decay_rate) from one to the next: of n transitions, with
    k = target_length, those of the ages (n - 1) * (exp(decay_rate * i) - 1) / (exp(decay_rate * (k - 1)) - 1) for
    i = 0 .. k - 1, rounded down, and at least i. With the defaults and n = 160 the ages are 0 1 3 6 11 19 34 57 95 159.
    A larger rate keeps more of the recent past; near 0 the ages are evenly spaced. Always keeps the newest and, without
    sampling and with a length of 2 or more, the oldest.

    Attributes:
        target_length: how many, 1 or more.
        decay_rate: above 0.
        sample: draw instead, without replacement, by the weights exp(-decay_rate * age * target_length / n); the newest
            is kept in any case.
        seed: of the draws; a draw depends on (seed, time of the transition) alone.

    Raises:
        InputError: a value out of range.

    Reference: none.

    Differs from the guide: the guide always drew, without a seed of its own, the same positions for a whole batch, by
    exp(-decay_rate * age): 99.3 % of that mass lies in the last ten transitions whatever the length, and more than 206
    could not be drawn at all. Its docstring had the rate's direction the wrong way round.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> kept = keepmap.ExponentialDecayCompressor(target_length=3).compress(states, actions, rewards, states + 1)
    >>> kept.indices.tolist()
    [[0, 4, 5]]
    """

    target_length: int = 10
    decay_rate: float = 0.5
    sample: bool = False
    seed: int = 0

    name: ClassVar[str] = "exponential_decay"
    keeps_newest: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)
        at_least(0, seed=self.seed)
        yes_or_no(sample=self.sample)
        positive(decay_rate=self.decay_rate)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        n = lengths(history.valid)[:, None]
        if not self.sample:
            return at_ages(history.valid, self._spaced(n))
        age = ages(history.valid)
        weights = -self.decay_rate * self.target_length * age.double() / n.clamp(min=1)
        drawn = weights + gumbel(self.seed, history.times)
        return top(history.valid, drawn.masked_fill(age == 0, math.inf), self.target_length)

    def _spaced(self, n: Int[Tensor, "B 1"]) -> Int[Tensor, "B k"]:
        last = self.target_length - 1
        # The ratio of the two exponentials minus 1, in a form that neither overflows nor cancels.
        reach = [
            math.exp(self.decay_rate * (i - last))
            * math.expm1(-self.decay_rate * i)
            / math.expm1(-self.decay_rate * last)
            for i in range(1, last + 1)
        ]
        share = torch.tensor([0.0, *reach], dtype=torch.float64, device=n.device)
        # The exact ages are convex in i: once they have caught up with i they stay distinct.
        return (share * (n - 1)).floor().long().maximum(torch.arange(last + 1, device=n.device))
