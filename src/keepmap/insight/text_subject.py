"""A language model as insight sees it: positions receive attention, and a KV method keeps some beside the sinks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.attention import AttentionProfile
from keepmap.errors import InputError
from keepmap.insight.coverage import Coverage, Shares
from keepmap.insight.subject import Subject, needed, row_of
from keepmap.insight.suggestion import Suggestion
from keepmap.kv.method import Method
from keepmap.kv.methods.expected_attention import ExpectedAttention
from keepmap.kv.methods.observed_attention import ObservedAttention
from keepmap.kv.methods.streaming_llm import StreamingLLM

__all__ = ["METHODS", "MethodSuggestion", "TextSubject"]

METHODS: dict[str, type[Method]] = {
    "recency": StreamingLLM,
    "sinks": StreamingLLM,
    "uniform": ExpectedAttention,
    "sparse": ObservedAttention,
    "mixed": ObservedAttention,
}
"""Pattern -> KV method. Where all positions are attended to alike, the norm of the values tells them apart."""


@dataclass(frozen=True, kw_only=True, repr=False)
class MethodSuggestion(Suggestion):
    """A KV method and the options of `keepmap.evict` with which it keeps so many positions of every head.

    Attributes:
        density: of the positions beside sinks and window. n_sink, window: positions.
    """

    method: type[Method]
    density: float
    n_sink: int
    window: int

    @property
    def name(self) -> str:
        """The name of the KV method."""
        return self.method.name

    @property
    def options(self) -> Mapping[str, int | float]:
        """The options of `keepmap.evict` beside the method, by name."""
        return {"density": self.density, "n_sink": self.n_sink, "window": self.window}

    @property
    def line(self) -> str:
        """The call of `keepmap.evict` that evicts by the method."""
        options = ", ".join(f"{option}={value}" for option, value in self.options.items())
        return f'keepmap.evict(language_model, input_ids, "{self.name}", {options})'


@dataclass(frozen=True)
class TextSubject(Subject):
    """A language model, or another model without an agent's query: its next query is one that nobody has seen.

    Attributes:
        n_sink: how many first positions always stay.
    """

    n_sink: int = 4

    host: ClassVar[str] = "language model"
    samples: ClassVar[str] = "texts"
    groups: ClassVar[str] = "texts"
    costs: ClassVar[tuple[str, ...]] = ("kl", "nll")

    def shares(self, profile: AttentionProfile, layer: int, heads: Sequence[int], query: int | None = None) -> Shares:
        """The shares of all measured queries, or of one; the sinks, and what a window hides, left out."""
        last = int(profile.measured[-1]) if query is None else query
        row = (
            profile.shares[layer, list(heads)].double().mean(0)
            if query is None
            else row_of(profile, layer, heads, query)
        )
        if "evicted_by" in profile.info:
            raise InputError(
                "expected `profile` to be of the whole model, got one under eviction, where what is gone gets no "
                "attention; profile the model without `keep_map`"
            )
        count = int(profile.n_visible[layer, next(iter(heads)), last])
        end = max(last + 1, count)
        first = max(end - count, self.n_sink)
        if first >= end:
            raise InputError(
                f"expected `profile` to have more than {self.n_sink} positions, as the sinks always stay, got {end}; "
                "give a longer text, or profile it with n_sink=0"
            )
        given = float(row[end - count : first].sum())
        if query is not None:
            return Shares.of_query(row[first:end], given, (first - end + count) / count, first)
        if self.n_sink != profile.n_sink:
            raise InputError(f"expected `profile` to have n_sink={self.n_sink}, got one with {profile.n_sink}")
        # Where a window hides what earlier queries saw, the ages are of more attention than the positions are.
        scale = float(row[first:end].sum()) / max(float(row[self.n_sink :].sum()), torch.finfo(torch.float64).tiny)
        even_positions, even_ages, even_given = _even(profile, layer, heads)
        return Shares(
            positions=row[first:end],
            ages=scale * profile.shares_by_age[layer, list(heads)].double().mean(0)[: end - first],
            even_positions=scale * even_positions[first:end],
            even_ages=scale * even_ages[: end - first],
            given=given,
            even_given=even_given if first > end - count else 0.0,
            first=first,
        )

    def suggestion(self, pattern: str, keep: int, of: int) -> MethodSuggestion:
        """A KV method that keeps `keep` positions of every head beside the sinks, at least 1.

        Half of them, rounded up, are the window; the other half is the method's choice, as in H2O (arXiv:2306.14048).
        """
        kept = max(1, keep)
        window = (kept + 1) // 2
        # Hundredths, rounded up: a density that is typed.
        density = math.ceil(100 * (kept - window) / max(1, of - window) - 1e-9) / 100
        return MethodSuggestion(
            pattern=pattern,
            keep=kept,
            of=of,
            method=METHODS[pattern],
            density=density,
            n_sink=self.n_sink,
            window=window,
        )

    def overall(
        self, profiles: Sequence[AttentionProfile], by_head: Sequence[Coverage], pattern: str, share: float
    ) -> MethodSuggestion:
        """The mean over heads and profiles of the share of the positions that a head needs, of the longest."""
        of = max(head.n for head in by_head)
        keep = math.fsum(needed(head, pattern) / head.n for head in by_head) / len(by_head)
        return self.suggestion(pattern, math.ceil(keep * of), of)

    def positions(self, profiles: Sequence[AttentionProfile]) -> int | None:
        """How many positions of the longest text are not sinks."""
        return max(1, max(profile.shape[2] for profile in profiles) - self.n_sink)


def _even(
    profile: AttentionProfile, layer: int, heads: Sequence[int]
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"], float]:
    """The shares of N positions and ages if each query gave alike to all that it sees what it gives beside the sinks.

    And the sinks' share if it gave alike to all that it sees, the sinks among them. A query sees everything, or an
    interval that ends at itself.
    """
    n, queries = profile.shape[2], profile.measured
    count = profile.n_visible[layer, next(iter(heads)), queries]
    stop = torch.maximum(queries + 1, count)
    start = (stop - count).clamp(min=profile.n_sink)
    beside = 1 - profile.sink_mass[layer, list(heads)][:, queries].double().mean(0)
    each = torch.where(stop > start, beside / (stop - start).clamp(min=1), 0.0) / len(queries)
    positions, ages = (torch.zeros(n + 1, dtype=torch.float64) for _ in range(2))
    for changes, starts, stops in (
        (positions, start.minimum(stop), stop),
        (ages, torch.zeros_like(start), (queries + 1 - start).clamp(min=0)),
    ):
        changes.index_add_(0, starts, each).index_add_(0, stops, -each)
    of_sinks = (start.minimum(stop) - (stop - count)) / count
    return positions.cumsum(0)[:-1], ages.cumsum(0)[:-1], float(of_sinks.double().mean())
