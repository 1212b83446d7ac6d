"""Lines of a file of data, each of a bounded length: what a file says decides no memory."""

from collections.abc import Iterator
from io import BufferedIOBase

__all__ = ["LARGEST_TEXT", "LARGEST_TEXT_IN_WORDS", "bounded_lines"]

LARGEST_TEXT = 4 * 2**20
"""Bytes of a text, at most: a million tokens or so, of which a tokenizer takes 200 times the memory."""
LARGEST_TEXT_IN_WORDS = "4 MiB"


def bounded_lines(file: BufferedIOBase, largest: int) -> Iterator[bytes | None]:
    r"""The lines of a file; None in place of what has more than `largest` bytes with its end.

    No more than that is held at once.

    >>> import io
    >>> list(bounded_lines(io.BytesIO(b"short\nmuch longer\nend"), largest=6))
    [b'short\n', None, b'end']
    """
    while line := file.readline(largest + 1):
        if len(line) <= largest:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(largest)
        yield None
