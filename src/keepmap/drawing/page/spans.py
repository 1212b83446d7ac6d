"""Stretches of the text that a reader names, from a file: an answer, a document, what the system says."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from keepmap.core.files import read_json
from keepmap.errors import InputError, escaped

__all__ = ["Span", "read_spans", "tokens_of"]

EXAMPLE = '[{"name": "answer", "start": 10, "end": 14}, {"name": "question", "text": "What is"}]'


@dataclass(frozen=True)
class Span:
    """A stretch of a text: the tokens start .. end - 1, or where the letters of `text` first stand."""

    name: str
    start: int = 0
    end: int = 0
    text: str | None = None

    def place(self, pieces: Sequence[str], n: int | None = None) -> tuple[int, int] | None:
        """Its tokens in a text of these pieces, or of n tokens; start and end. None where they are not all there.

        >>> Span("answer", text="river is").place(["The", " river", " is", " wide"])
        (1, 3)
        """
        if self.text is None:
            return (self.start, self.end) if self.end <= (len(pieces) if n is None else n) else None
        at = "".join(pieces).find(self.text)
        return None if at < 0 or not self.text else tokens_of(pieces, at, at + len(self.text))


def tokens_of(pieces: Sequence[str], start: int, end: int) -> tuple[int, int]:
    """The tokens that the letters start .. end - 1 of a text stand in: the first, and the one after the last.

    >>> tokens_of(["The", " river", " is"], 4, 8)
    (1, 2)
    """
    ends = list(accumulate(map(len, pieces)))
    return bisect_right(ends, start), bisect_left(ends, end) + 1


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
    return [_span(entry, number, path) for number, entry in enumerate(entries, start=1)]


def _span(entry: object, number: int, path: Path) -> Span:
    match entry:
        case {"name": str(name), "text": str(text), **others} if not others and text:
            return Span(name, text=text)
        case {"name": str(name), "start": int(start), "end": int(end), **others} if not others and 0 <= start < end:
            return Span(name, start, end)
    raise InputError(f"span {number} of {escaped(str(path))} is none; write it as one of {EXAMPLE}")
