"""The transitions that the agent attends to."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.choosing import gumbel, shares, top
from keepmap.agents.compressor import Compressor, History, at_least, positive, yes_or_no
from keepmap.errors import InputError

__all__ = ["AttentionBasedCompressor"]


@dataclass(frozen=True)
class AttentionBasedCompressor(Compressor):
    """Keeps the transitions that the query state attends to most.

    For agents with sparse, focused attention (entropy below 1.5). Of equal weights the more recent one is kept. The
    newest transition is kept only if it is attended to.

    Attributes:
        target_length: how many, 1 or more.
        temperature: of the sampling, above 0: transitions are drawn without replacement by
            attention ** (1 / temperature). It acts with `sample` only, and other values than 1 are an error without.
        sample: draw instead of taking the highest.
        seed: of the draws; a draw depends on (seed, time of the transition) alone.

    Raises:
        InputError: a value out of range, or a temperature that cannot act.

    Reference: none. Sampling is the Gumbel top-k trick (Kool, van Hoof and Welling 2019, arXiv 1903.06059).

    Differs from the guide: the weights are those of this very history, where the guide used those of an earlier batch;
    they are required, where the guide silently sampled evenly; the temperature acts, where the guide ignored it.

    >>> import keepmap, torch
    >>> states = torch.arange(12).reshape(1, 6, 2)
    >>> actions, rewards = torch.zeros(1, 6), torch.tensor([[0, 1, 0, 0, 0, 0]])
    >>> attention = torch.tensor([[0.1, 0.1, 0.4, 0.1, 0.2, 0.1]])
    >>> compressor = keepmap.AttentionBasedCompressor(target_length=2)
    >>> kept = compressor.compress(states, actions, rewards, states + 1, attention=attention)
    >>> kept.indices.tolist()
    [[2, 4]]
    """

    target_length: int = 10
    temperature: float = 1.0
    sample: bool = False
    seed: int = 0

    name: ClassVar[str] = "attention"
    needs_attention: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(1, target_length=self.target_length)
        at_least(0, seed=self.seed)
        yes_or_no(sample=self.sample)
        positive(temperature=self.temperature)
        if self.temperature != 1 and not self.sample:
            raise InputError(f"temperature={self.temperature:g} acts on draws alone; add sample=True")

    @property
    def max_length(self) -> int:
        return self.target_length

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        assert history.attention is not None
        scores = history.attention
        if self.sample:
            weights = shares(history.valid, scores).log() / self.temperature
            scores = weights + gumbel(self.seed, history.times)
        return top(history.valid, scores, self.target_length)
