"""What a model said under eviction, and what that held: the value that `keepmap.generate` returns."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keepmap.core.files import plain
from keepmap.core.html import card
from keepmap.core.keep_map import KeepMap
from keepmap.core.labels import model_label
from keepmap.core.outside.memory import size_text
from keepmap.core.outside.reporting import framed, write_page
from keepmap.errors import counted, escaped
from keepmap.kv.cache.report import CacheReport

__all__ = ["Answered", "Generation"]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer as a result has it.

    Attributes:
        tokens: the new token ids. text: these, without special tokens.
        reading: seconds until the first of them, decoding: for all others; None where that is not known any more.
    """

    tokens: tuple[int, ...]
    text: str
    reading: float | None = field(default=None, compare=False)
    decoding: float | None = field(default=None, compare=False)

    @property
    def rate(self) -> float | None:
        """Tokens per second after the first; None for fewer than two of them."""
        return (len(self.tokens) - 1) / self.decoding if self.decoding and len(self.tokens) > 1 else None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Generation:
    """What a model said under eviction, what was kept, and the bytes that this took, beside the full cache's.

    Attributes:
        n_prompt: tokens of the text that it went on from, of which the last `n_question` are the question.
        answer: what it said. full: what it says with the full cache, None where that was not asked for.
        cache: the bytes that it held, over time. keep_map: what it kept, until when, and by which scores.
        options: what decided it, by parameter. versions: package -> version.

    >>> import keepmap
    >>> generation = keepmap.generate("tiny", "The code of river is 4821. " * 9, "h2o", density=0.2, window=16)
    >>> len(generation.answer.tokens) <= 200, generation.cache.nbytes < generation.cache.full_nbytes
    (True, True)
    """

    n_prompt: int
    n_question: int
    answer: Answered
    full: Answered | None
    cache: CacheReport
    keep_map: KeepMap
    options: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def text(self) -> str:
        """What the model said."""
        return self.answer.text

    @property
    def divergence(self) -> int | None:
        """The first new token, counted from 0, that the full cache has otherwise; None where all are the same."""
        if self.full is None or self.full.tokens == self.answer.tokens:
            return None
        return len(os.path.commonprefix([self.answer.tokens, self.full.tokens]))

    @property
    def label(self) -> str:
        """The method and its rule, as figures name them."""
        values = {**self.keep_map.info, "threshold": self.keep_map.threshold}
        rules = ((name, values.get(name)) for name in ("threshold", "density", "budget"))
        named = [f"{name} {value:g}" for name, value in rules if isinstance(value, int | float)]
        return ", ".join([str(values.get("label", "KeepMap")), *named])

    def lines(self) -> tuple[str, ...]:
        """The report: what was read and said, kept and held, and how fast."""
        report = self.cache
        # The end of a text ends a chunk, and its KeepMap says so; the cache waits for what may still come.
        now = replace(self.keep_map, held=None) if report.n_uncut else self.keep_map
        question = f", {self.n_question:,} of them the question" if self.n_question else ""
        left = f"{now.compressible_density():.1%} of those that left the window"
        lines = [
            f"{counted(self.n_prompt, 'token')} read{question}; {len(self.answer.tokens):,} new",
            f"Kept:  {now.density():.1%} of all entries, "
            f"{'none of which left the window' if now.protected().all() else left}",
            f"Bytes: {size_text(report.nbytes)} at the end, {size_text(report.peak_nbytes)} at the peak; "
            f"{size_text(report.full_nbytes)} at the end without eviction",
        ]
        if self._when is not None:
            lines.insert(1, f"Mode:  {self._when}")
        if report.note is not None:
            lines.append(f"Note:  {report.note}")
        if self.answer.rate is not None:
            full = None if self.full is None else self.full.rate
            beside = "" if full is None else f"; {full:.3g} with the full cache"
            lines.append(f"Speed: {self.answer.rate:.3g} tokens per second{beside}")
        return tuple(lines)

    @property
    def _when(self) -> str | None:
        """When it was decided, None where that was while reading."""
        context, chunk = self.keep_map.context_length, self.keep_map.info.get("chunk_size", 1)
        if context is not None:
            return f"once, cut after {counted(context, 'token')}"
        return f"chunked, {chunk:,} queries at a time" if isinstance(chunk, int) and chunk > 1 else None

    def document(self) -> dict[str, Any]:
        """All but the KeepMap and the times, as JSON values."""
        moments = self.cache.moments
        return {
            "model": self.keep_map.info.get("model"),
            "method": self.label,
            "n_prompt": self.n_prompt,
            "n_question": self.n_question,
            "text": self.answer.text,
            "tokens": list(self.answer.tokens),
            "full": None if self.full is None else {"text": self.full.text, "tokens": list(self.full.tokens)},
            "divergence": self.divergence,
            "density": self.keep_map.density(),
            "compressible_density": self.keep_map.compressible_density(),
            "report": {
                "peak_bytes": self.cache.peak_nbytes,
                "n_protected": self.cache.n_protected,
                "tokens": [moment.tokens for moment in moments],
                "bytes": [moment.nbytes for moment in moments],
                "full_bytes": [moment.full_nbytes for moment in moments],
            },
            "options": plain(self.options),
            "versions": dict(self.versions),
        }

    def __eq__(self, other: object) -> bool:
        """Equal but for the time that it took."""
        if not isinstance(other, Generation):
            return NotImplemented
        return self.document() == other.document() and self.keep_map == other.keep_map

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        start = self.text if len(self.text) <= 60 else f"{self.text[:59]}…"
        model = model_label(self.keep_map.info.get("model"))
        return escaped("\n".join([f"Generation({self.label} on {model}: {start!r})", *self.lines()[1:3]]))

    def report(
        self,
        path: str | Path,
        *,
        redact_text: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Write one HTML file that shows it all offline: docs/report.md says what. Another report there is replaced.

        >>> import keepmap, tempfile
        >>> text = "The code of river is 4821. " * 9
        >>> generation = keepmap.generate("tiny", text, "h2o", density=0.2, window=16, max_new_tokens=5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     generation.report(f"{folder}/report.html").read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'

        Args:
            redact_text: whether of what was said only the length is told.
            overwrite: whether a file that is no report is written over, too.

        Returns:
            The path.

        Raises:
            OutputError: the path cannot be written, or a file that is no report is there.
        """
        return write_page(self, path, redact_text=redact_text, overwrite=overwrite)

    def _repr_html_(self) -> str:
        report = self.cache
        sizes = (report.nbytes, report.peak_nbytes, report.full_nbytes)
        answers = [(self.label, self.text)] + ([] if self.full is None else [("the full cache", self.full.text)])
        rows = [
            *answers,
            *zip(("held at the end", "at the peak", "without eviction"), map(size_text, sizes), strict=True),
        ]
        title = f"Generation: {self.label} on {model_label(self.keep_map.info.get('model'))}"
        return framed(self, card(title, ("", ""), rows))
