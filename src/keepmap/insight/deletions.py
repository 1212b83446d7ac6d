"""Which positions a rule keeps, and as many at random: what both arms of a deletion share, they share exactly."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from keepmap.agents.compressor import compressor_class
from keepmap.agents.history import History
from keepmap.insight.coverage import coverage, pattern_of
from keepmap.insight.suggestion import PATTERNS

__all__ = ["Choice", "at_random", "by_pattern", "by_share"]


@dataclass(frozen=True, eq=False)
class Choice:
    """What is kept of n positions beside what always stays, and the pattern that said so."""

    pattern: str
    kept: Bool[Tensor, " n"]


def by_pattern(pattern: str, length: int, row: Float[Tensor, " n"], stays: Bool[Tensor, " n"]) -> Choice:
    """What the pattern's compressor keeps of positions with these attentions, less what stays in any case."""
    n = len(row)
    nothing = torch.zeros(1, n, 1)
    history = History(
        states=nothing,
        actions=torch.zeros(1, n),
        rewards=torch.zeros(1, n),
        next_states=nothing,
        times=torch.arange(n)[None],
        valid=torch.ones(1, n, dtype=torch.bool),
        attention=row[None],
    )
    kept = torch.zeros(n, dtype=torch.bool)
    if length:
        name = PATTERNS["recency" if pattern == "sinks" else pattern][0]
        selection = compressor_class(name).of_length(length).select(history)
        kept[selection.indices[selection.mask]] = True
    return Choice(pattern, kept & ~stays)


def by_share(row: Float[Tensor, " n"], given: float, share: float, stays: Bool[Tensor, " n"]) -> Choice:
    """What the simplest rule that keeps `share` of the attention keeps, less what stays in any case."""
    pattern, length = pattern_of(coverage(row, share, given))
    return by_pattern(pattern, length, row, stays)


def at_random(
    kept: Bool[Tensor, "heads n"], stays: Bool[Tensor, " n"], rng: np.random.Generator
) -> Bool[Tensor, "heads n"]:
    """As many positions of each head as are kept, drawn from those that may go."""
    free = (~stays).nonzero()[:, 0].numpy()
    drawn = torch.zeros_like(kept)
    for head, number in enumerate(kept.sum(1).tolist()):
        drawn[head, torch.from_numpy(rng.permutation(free)[:number])] = True
    return drawn
