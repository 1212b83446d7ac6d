"""The compressor that fits each history's attention."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from keepmap.agents.choosing import ages, even, lengths, recent, shares, top
from keepmap.agents.compressor import Compressor, History, at_least

__all__ = ["AdaptiveCompressor", "adaptive"]

RECENT_OVER_DISTANT = 2.0
UNIFORM_ABOVE = 2.0
SPARSE_BELOW = 1.5


@dataclass(frozen=True)
class AdaptiveCompressor(Compressor):
    """Chooses for each history by its own attention: recent, even, most attended, or half and half.

    The first rule that holds decides. The recent/distant ratio (mean attention of the last quarter over that of the
    first) is above 2.0: the most recent. The entropy of the attention, renormalised over the context, in nats, is
    above 2.0: evenly spaced ones. It is below 1.5: the most attended. Else, the mixed case: half of the length (rounded
    up) is the most attended, and the rest evenly spaced over what is left. The newest transition is part of all
    statistics; it is kept by the first two rules and, with a length of 2 or more, the last; the third asks its
    attention. An entropy of 2.0 is that of 7.4 equal weights: in long histories, attention is rarely below.

    Attributes:
        target_length: how many, 1 or more.

    Reference: none; the document's Patterns 1 to 4.

    Differs from the guide: the statistics are those of each history by itself and of all of it, where the guide's were
    a batch's mean and left out the newest transition; the ratio's limit is the document's 2.0, where the code had
    2.5; the mixed case has a rule of its own; attention is required, where the guide silently took the most recent.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> attention = torch.tensor([[0.1, 0.1, 0.4, 0.1, 0.2, 0.1]])
    >>> compressor = keepmap.AdaptiveCompressor(target_length=2)
    >>> kept = compressor.compress(states, actions, rewards, states + 1, attention=attention)
    >>> kept.indices.tolist()
    [[2, 5]]
    """

    target_length: int = 10

    name: ClassVar[str] = "adaptive"
    needs_attention: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        assert history.attention is not None
        return adaptive(history.valid, history.attention, self.target_length)


def adaptive(valid: Bool[Tensor, "B n"], attention: Float[Tensor, "B n"], budget: int) -> Bool[Tensor, "B n"]:
    """What the four patterns' rules keep, each row's pattern by its own attention."""
    focused = top(valid, attention, (budget + 1) // 2)
    mixed = focused | even(valid & ~focused, budget // 2)
    entropy = torch.special.entr(shares(valid, attention)).sum(dim=1, keepdim=True)
    kept = torch.where(entropy < SPARSE_BELOW, top(valid, attention, budget), mixed)
    kept = torch.where(entropy > UNIFORM_ABOVE, even(valid, budget), kept)
    return torch.where(_leans_to_recent(valid, attention)[:, None], recent(valid, budget), kept)


def _leans_to_recent(valid: Bool[Tensor, "B n"], attention: Float[Tensor, "B n"]) -> Bool[Tensor, " B"]:
    """Whether the last quarter's mean attention is above so many times the first quarter's, which may be 0."""
    weights = attention.double().masked_fill(~valid, 0)
    age, n = ages(valid), lengths(valid)[:, None]
    quarter = (n // 4).clamp(min=1)
    last, first = weights * (age < quarter), weights * (age >= n - quarter)
    return last.sum(dim=1) > RECENT_OVER_DISTANT * first.sum(dim=1)
