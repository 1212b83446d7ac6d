"""From a pattern and a number of positions to what keeps them: a line of code to paste, and what it says as values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PATTERNS", "Suggestion", "for_agent", "for_language_model"]

PATTERNS = {
    "recency": ("recency", "RecencyCompressor", "keep_recent"),
    "uniform": ("uniform", "UniformCompressor", "target_length"),
    "sparse": ("attention", "AttentionBasedCompressor", "target_length"),
    "mixed": ("adaptive", "AdaptiveCompressor", "target_length"),
}
"""Pattern -> the compressor's name, class and option, as the document pairs them."""

METHODS = {
    "recency": "streaming_llm",
    "sinks": "streaming_llm",
    "uniform": "expected_attention",
    "sparse": "observed_attention",
    "mixed": "observed_attention",
}
"""Pattern -> KV method. Where all positions are attended to alike, the norm of the values tells them apart."""


@dataclass(frozen=True)
class Suggestion:
    """What to keep, and how.

    Attributes:
        pattern: "recency", "uniform", "sparse", "sinks" or "mixed".
        keep, of: how many positions, of how many. A language model's sinks are not counted; they always stay.
        name: the compressor, or the KV method. options: its values.
        line: the line of code.
    """

    pattern: str
    keep: int
    of: int
    name: str
    options: Mapping[str, int | float]
    line: str

    @property
    def code(self) -> tuple[str, ...]:
        """The line as lines of at most 80 columns, to paste as they stand."""
        return tuple(self.line.replace("; ", "\n").replace('", density=', '",\n    density=').splitlines())


def for_agent(pattern: str, keep: int, of: int) -> Suggestion:
    """A compressor that keeps `keep` transitions, at least 1."""
    name, made, option = PATTERNS["recency" if pattern == "sinks" else pattern]
    length = max(1, keep)
    line = f"from compression_strategies import {made}; compressor = {made}({option}={length})"
    return Suggestion(pattern, length, of, name, {option: length}, line)


def for_language_model(pattern: str, keep: int, of: int, n_sink: int) -> Suggestion:
    """A KV method that keeps `keep` positions of every head beside the sinks, at least 1.

    Half of them, rounded up, are the window; the other half is the method's choice, as in H2O (arXiv:2306.14048).
    """
    name, kept = METHODS[pattern], max(1, keep)
    window = (kept + 1) // 2
    # Hundredths, rounded up: a density that is typed.
    density = math.ceil(100 * (kept - window) / max(1, of - window) - 1e-9) / 100
    options = {"density": density, "n_sink": n_sink, "window": window}
    said = ", ".join(f"{option}={value}" for option, value in options.items())
    return Suggestion(pattern, kept, of, name, options, f'keepmap.evict(language_model, input_ids, "{name}", {said})')
