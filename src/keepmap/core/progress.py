"""How long work says how far it is: one kind of callback, everywhere."""

from collections.abc import Callable

__all__ = ["Progress", "part_of"]

Progress = Callable[[float], None]
"""Called with the share of the work that is done, from 0 to 1."""


def part_of(progress: Progress | None, index: int, count: int) -> Progress:
    """The progress of part `index` (from 0) of `count` equal parts, told as progress of the whole.

    >>> part_of(print, 1, 4)(0.5)
    0.375
    """

    def tell(share: float) -> None:
        if progress is not None:
            progress((index + share) / count)

    return tell
