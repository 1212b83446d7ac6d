"""Whether the facts at the head of a GGUF file are as many and as long as it says, before another reads them."""

import mmap
import struct
from pathlib import Path

from keepmap.errors import ModelError

__all__ = ["require_true_header"]

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a number of each kind."""
TEXT, ARRAY = 8, 9
MOST = 2**22
"""Values of all arrays; a vocabulary of 256,000 tokens with its merges has a million, and each takes memory."""


def require_true_header(file: Path, name: str) -> None:
    """Whether all facts lie in the file: of an array of 10^18 numbers its reader would take memory until the end.

    Args:
        name: the model's, for messages.

    Raises:
        ModelError: they do not, or are more than any model has.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        if len(opened.read(24)) < 24:
            return  # its reader says what it is
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                _Facts(content).read()
            except (struct.error, KeyError, ValueError) as error:
                raise ModelError(
                    f'the GGUF file {file.name} of model "{name}" is damaged or was cut: copy it or download the file '
                    "again"
                ) from error


class _Facts:
    """Where the next fact begins, and how many values may come."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at, self._left = content, 4, MOST
        # Of the other order of bytes, the version's lower half is empty.
        self._order = "<" if self._number("<I") & 0xFFFF else ">"

    def read(self) -> None:
        self._at = 16
        for _ in range(self._number("Q")):
            self._text()
            self._value(self._number("I"))

    def _value(self, kind: int) -> None:
        if kind == TEXT:
            self._text()
        elif kind == ARRAY:
            kind, length = self._number("I"), self._number("Q")
            if length > self._left or kind == ARRAY:
                raise ValueError
            self._left -= length
            if kind == TEXT:
                for _ in range(length):
                    self._text()
            else:
                self._skip(length * SIZES[kind])
        else:
            self._skip(SIZES[kind])

    def _number(self, form: str) -> int:
        form = form if form[0] == "<" else self._order + form
        (number,) = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return int(number)

    def _text(self) -> None:
        self._skip(self._number("Q"))

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._content):
            raise ValueError
