"""An agent as insight sees it: the query attends to its history, and a compressor keeps some of the transitions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from keepmap.agents.compression_strategies import (
    AdaptiveCompressor,
    AttentionBasedCompressor,
    RecencyCompressor,
    UniformCompressor,
)
from keepmap.agents.compressor import Compressor
from keepmap.attention import AttentionProfile
from keepmap.errors import InputError
from keepmap.insight.coverage import Coverage, Shares, coverage
from keepmap.insight.subject import Subject, needed, row_of
from keepmap.insight.suggestion import Suggestion

__all__ = ["COMPRESSORS", "AgentSubject", "CompressorSuggestion"]

COMPRESSORS: dict[str, type[Compressor]] = {
    "recency": RecencyCompressor,
    "sinks": RecencyCompressor,
    "uniform": UniformCompressor,
    "sparse": AttentionBasedCompressor,
    "mixed": AdaptiveCompressor,
}
"""Pattern -> compressor, as the guide pairs them; an agent's histories have no sinks of their own."""


@dataclass(frozen=True, kw_only=True, repr=False)
class CompressorSuggestion(Suggestion):
    """A compressor that keeps so many transitions."""

    compressor: Compressor

    @property
    def name(self) -> str:
        """The name of the compressor."""
        return self.compressor.name

    @property
    def options(self) -> Mapping[str, int | float]:
        """The compressor's length: to how many transitions it shortens a history."""
        return {self.compressor.length_option: self.compressor.max_length}

    @property
    def line(self) -> str:
        """The code that imports and makes the compressor."""
        cls = type(self.compressor).__name__
        return (
            f"from compression_strategies import {cls}; "
            f"compressor = {cls}({self.compressor.length_option}={self.compressor.max_length})"
        )


class AgentSubject(Subject):
    """An agent: the query alone acts, and compressors see the mean over layers and heads."""

    host: ClassVar[str] = "agent"
    samples: ClassVar[str] = "contexts"
    groups: ClassVar[str] = "goals"
    costs: ClassVar[tuple[str, ...]] = ("kl", "log_likelihood")

    def shares(self, profile: AttentionProfile, layer: int, heads: Sequence[int], query: int | None = None) -> Shares:
        """The query's attention to the transitions before it; nothing stays in any case."""
        last = profile.shape[2] - 1 if query is None else query
        row = row_of(profile, layer, heads, last)
        if not last:
            raise InputError("expected `query` to have positions before it, got query 0; take a later one")
        return Shares.of_query(row[:last])

    def suggestion(self, pattern: str, keep: int, of: int) -> CompressorSuggestion:
        """A compressor that keeps `keep` transitions, at least 1."""
        length = max(1, keep)
        return CompressorSuggestion(
            pattern=pattern, keep=length, of=of, compressor=COMPRESSORS[pattern].of_length(length)
        )

    def overall(
        self, profiles: Sequence[AttentionProfile], by_head: Sequence[Coverage], pattern: str, share: float
    ) -> CompressorSuggestion:
        """By the mean over layers and heads, which is what a compressor sees; the mean over profiles, rounded up."""
        seen = []
        for profile in profiles:
            layers, heads, _ = profile.shape
            rows = torch.stack([self.shares(profile, at, range(heads)).positions for at in range(layers)])
            seen.append(coverage(Shares.of_query(rows.mean(0)), share))
        keep = math.fsum(needed(of_profile, pattern) for of_profile in seen) / len(seen)
        return self.suggestion(pattern, math.ceil(keep), max(of_profile.n for of_profile in seen))

    def positions(self, profiles: Sequence[AttentionProfile]) -> int | None:
        """None: the guide's compressors keep 10, however short the histories are."""
        return None
