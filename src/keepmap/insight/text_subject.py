"""A language model as insight sees it: positions receive attention, and a KV method keeps some beside the sinks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from keepmap.attention.profile import AttentionProfile
from keepmap.errors import InputError
from keepmap.insight.coverage import Coverage
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

    def row(
        self, profile: AttentionProfile, layer: int, heads: Sequence[int], query: int | None = None
    ) -> tuple[Float[Tensor, " n"], float, int]:
        """What each position received on average, or of one query; the sinks, and what a window hides, left out."""
        last = int(profile.measured[-1]) if query is None else query
        if query is None:
            row = profile.received[layer, list(heads)].double().nan_to_num(0.0).mean(0)
        else:
            row = row_of(profile, layer, heads, query)
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
        return row[first:end], float(row[end - count : first].sum()), first

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
