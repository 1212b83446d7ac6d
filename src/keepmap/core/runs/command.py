"""The command line that began a run, so that it can be given again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["OVERWRITE", "command", "typing"]

OVERWRITE = "--overwrite"
"""The option that replaces another run; what goes on must not say it again."""

_words: ContextVar[tuple[str, ...]] = ContextVar("keepmap_command", default=())


@contextmanager
def typing(words: Sequence[str]) -> Iterator[None]:
    """Inside, these are the words that the user has typed.

    >>> with typing(["keepmap", "compare", "--overwrite"]):
    ...     command()
    ('keepmap', 'compare')
    """
    token = _words.set(tuple(words))
    try:
        yield
    finally:
        _words.reset(token)


def command() -> tuple[str, ...]:
    """The words of the command that goes on with what is done now; none where Python has called keepmap."""
    return tuple(word for word in _words.get() if word != OVERWRITE)
