"""Which positions a rule keeps, and as many at random: what both arms of a deletion share, they share exactly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from keepmap.agents.choosing import even, recent, top
from keepmap.agents.compressors.adaptive import adaptive
from keepmap.attention import AttentionProfile
from keepmap.insight.coverage import Shares, coverage, pattern_of
from keepmap.insight.guide import GuideInsight
from keepmap.insight.subjects import subject_of
from keepmap.insight.verification import RULES

__all__ = ["Choice", "Deletions", "LayerChoice", "at_random", "by_kv_head", "by_pattern", "by_share"]

_KEPT: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "recency": lambda valid, _, length: recent(valid, length),
    "sinks": lambda valid, _, length: recent(valid, length),
    "uniform": lambda valid, _, length: even(valid, length),
    "sparse": top,
    "mixed": adaptive,
}
"""Pattern -> the rule of its compressor: (valid, attention, length) -> what is kept, [1, n]."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What is kept of n positions beside what always stays, and the pattern that chose it."""

    pattern: str
    kept: Bool[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class LayerChoice:
    """A rule's choice in one layer of a language model: a pattern and what is kept for each of G KV heads.

    Attributes:
        stays: what is kept in any case, by every head and in both arms.
    """

    patterns: tuple[str, ...]
    kept: Bool[Tensor, "G P"]
    stays: Bool[Tensor, " P"]


@dataclass(frozen=True)
class Deletions:
    """What every sample is tested with: the guide's insights, one per layer, and how both rules are compared.

    Attributes:
        share: of the attention that our verdicts keep. draws: random choices for each trial. seed: of the draws.
    """

    guides: Sequence[GuideInsight]
    share: float
    draws: int
    seed: int

    def generator(self, sample: int, layer: int, rule: str) -> np.random.Generator:
        """The random numbers of one trial, whatever other trials there are."""
        return np.random.default_rng([self.seed, sample, layer, RULES.index(rule)])


def by_pattern(pattern: str, length: int, row: Float[Tensor, " n"], stays: Bool[Tensor, " n"]) -> Choice:
    """What the pattern's compressor keeps of positions with these attentions, less what stays in any case."""
    kept = torch.zeros(len(row), dtype=torch.bool)
    if length:
        kept = _KEPT[pattern](torch.ones(1, len(row), dtype=torch.bool), row[None], length)[0]
    return Choice(pattern, kept & ~stays)


def by_share(shares: Shares, share: float, stays: Bool[Tensor, " n"]) -> Choice:
    """What the simplest rule that keeps `share` of the attention beside the sinks keeps, less what stays anyway."""
    pattern, length = pattern_of(coverage(shares, share))
    return by_pattern(pattern, length, shares.positions, stays)


def by_kv_head(profile: AttentionProfile, at: int, rule: str, deletions: Deletions) -> LayerChoice:
    """What a rule keeps in one layer of a language model's text.

    Our verdict is one for each KV head, on the mean attention of its query heads, since they share what is kept; the
    guide's is one for the layer, on its last query.

    Args:
        profile: of all heads, in the positions that may go. at: the layer's place in it.
    """
    _, heads, n = profile.shape
    subject, patterns, rows = subject_of(profile), list[str](), list[Tensor]()
    stays = torch.zeros(n, dtype=torch.bool)
    for kv_head in range(max(profile.kv_heads) + 1):
        own = [head for head in range(heads) if rule == "guide" or profile.kv_heads[head] == kv_head]
        shares = subject.shares(profile, at, own, n - 1 if rule == "guide" else None)
        first = shares.first
        stays[:first] = stays[-1] = True
        if rule == "guide":
            guide = deletions.guides[at]
            choice = by_pattern(guide.pattern, guide.suggested.keep, shares.positions, stays[first:])
        else:
            choice = by_share(shares, deletions.share, stays[first:])
        kept = torch.zeros(n, dtype=torch.bool)
        kept[first:] = choice.kept
        patterns.append(choice.pattern)
        rows.append(kept)
    return LayerChoice(tuple(patterns), torch.stack(rows), stays)


def at_random(
    kept: Bool[Tensor, "heads n"], stays: Bool[Tensor, " n"], rng: np.random.Generator
) -> Bool[Tensor, "heads n"]:
    """As many positions of each head as are kept, drawn from those that may go."""
    free = (~stays).nonzero()[:, 0].numpy()
    drawn = torch.zeros_like(kept)
    for head, number in enumerate(kept.sum(1).tolist()):
        drawn[head, torch.from_numpy(rng.permutation(free)[:number])] = True
    return drawn
