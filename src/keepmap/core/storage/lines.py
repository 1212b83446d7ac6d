"""Lines of a file of data, each of a bounded length: what a file says decides no memory."""

import errno
from collections.abc import Iterator
from io import BufferedIOBase

__all__ = ["LARGEST_TEXT", "LARGEST_TEXT_IN_WORDS", "bounded_lines"]

LARGEST_TEXT = 4 * 2**20
"""Bytes of a text, at most: a million tokens or so, of which a tokenizer takes 200 times the memory."""
LARGEST_TEXT_IN_WORDS = "4 MiB"
LONGEST_LINE = 2**30
"""Bytes of a line, after which its end is not looked for any more: a sparse file can have more than any disk."""


def bounded_lines(file: BufferedIOBase, largest: int) -> Iterator[bytes | None]:
    r"""The lines of a file; None in place of what has more than `largest` bytes with its end.

    No more than that is held at once.

    Raises:
        OSError: a line has more than a GiB.

    >>> import io
    >>> list(bounded_lines(io.BytesIO(b"short\nmuch longer\nend"), largest=6))
    [b'short\n', None, b'end']
    """
    while line := file.readline(largest + 1):
        if len(line) <= largest:
            yield line
            continue
        passed = 0
        while line and not line.endswith(b"\n"):
            passed += len(line)
            if passed > LONGEST_LINE:
                raise OSError(errno.EFBIG, "one of its lines has more than 1 GiB")
            line = file.readline(largest)
        yield None
