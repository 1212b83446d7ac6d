"""Stretches of the text that a reader names, from a file: an answer, a document, what the system says."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_path
from keepmap.core.files import read_json
from keepmap.errors import InputError, escaped, kind_of

__all__ = ["Span", "as_spans", "read_spans", "tokens_of"]

EXAMPLE = '[{"name": "answer", "start": 10, "end": 14}, {"name": "question", "text": "What is"}]'


@dataclass(frozen=True)
class Span:
    """Stretches of a text: the tokens start .. end - 1, or wherever the letters of `text` stand."""

    name: str
    start: int = 0
    end: int = 0
    text: str | None = None

    def places(self, pieces: Sequence[str], n: int | None = None) -> list[tuple[int, int]]:
        """Its tokens in a text of these pieces, or of n tokens: of each place start and end, in order.

        >>> Span("answer", text="river").places(["The", " river", " is", " a", " river"])
        [(1, 2), (4, 5)]
        """
        if self.text is None:
            return [(self.start, self.end)] if self.end <= (len(pieces) if n is None else n) else []
        ends = list(accumulate(map(len, pieces)))
        return [_tokens(ends, *match.span()) for match in re.finditer(re.escape(self.text), "".join(pieces))]


def tokens_of(pieces: Sequence[str], start: int, end: int) -> tuple[int, int]:
    """The tokens that the letters start .. end - 1 of a text stand in: the first, and the one after the last.

    >>> tokens_of(["The", " river", " is"], 4, 8)
    (1, 2)
    """
    return _tokens(list(accumulate(map(len, pieces))), start, end)


def _tokens(ends: Sequence[int], start: int, end: int) -> tuple[int, int]:
    return bisect_right(ends, start), bisect_left(ends, end) + 1


def as_spans(spans: str | Path | Sequence[Span | Mapping[str, Any]]) -> list[Span]:
    """Spans as given: of a JSON file, or a list of spans or of what such a file holds.

    >>> as_spans([{"name": "answer", "start": 10, "end": 14}])
    [Span(name='answer', start=10, end=14, text=None)]

    Raises:
        InputError: any other.
    """
    if isinstance(spans, str | Path):
        return read_spans(as_path("spans", spans))
    if not isinstance(spans, Sequence):
        raise InputError(f"expected `spans` to be a file or a list such as {EXAMPLE}, got {kind_of(spans)}")
    return [span if isinstance(span, Span) else _span(span, at, "`spans`") for at, span in enumerate(spans, start=1)]


def read_spans(path: Path) -> list[Span]:
    """The spans of a JSON file: a list of objects with a name, and with `start` and `end` in tokens, or with `text`.

    Raises:
        InputError: no such file, or one that holds anything else.
    """
    try:
        entries = read_json(path)
    except FileNotFoundError:
        raise InputError(f"no spans at {path}: no such file; write one: {EXAMPLE}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the spans {path}: {error}; write it as {EXAMPLE}") from None
    if not isinstance(entries, list):
        raise InputError(f"expected the spans {path} to be a list, got another value; write it as {EXAMPLE}")
    return [_span(entry, number, str(path)) for number, entry in enumerate(entries, start=1)]


def _span(entry: object, number: int, where: str) -> Span:
    match entry:
        case {"name": str(name), "text": str(text), **others} if not others and text:
            return Span(name, text=text)
        case {"name": str(name), "start": int(start), "end": int(end), **others} if not others and 0 <= start < end:
            return Span(name, start, end)
    raise InputError(f"span {number} of {escaped(where)} is none; write it as one of {EXAMPLE}")
