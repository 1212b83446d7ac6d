"""Two texts beside each other in columns, with a mark where they part."""

import os
import textwrap

from keepmap.errors import escaped

__all__ = ["MARK", "beside"]

MARK = ">>>"
"""Stands in both texts before the first word that differs."""
_BETWEEN = " | "


def beside(titles: tuple[str, str], texts: tuple[str, str], width: int) -> list[str]:
    """Lines of two columns, each text wrapped to half of the width; a mark stands before the word where they part.

    >>> print("\\n".join(beside(("left", "right"), ("a code is 12", "a code is 31"), 33)))
    left            | right
    ---------------------------------
    a code is >>>12 | a code is >>>31

    Args:
        width: of both columns together, in letters.
    """
    half = (width - len(_BETWEEN)) // 2
    left, right = (_wrapped(text, half) for text in _marked(*texts))
    rows = max(len(left), len(right))
    columns = [
        [title[:half], "", *lines, *[""] * (rows - len(lines))]
        for title, lines in zip(titles, (left, right), strict=True)
    ]
    wide = max(map(len, columns[0]))
    lines = [f"{first:{wide}}{_BETWEEN}{second}".rstrip() for first, second in zip(*columns, strict=True)]
    lines[1] = "-" * max(map(len, lines))
    return lines


def _marked(left: str, right: str) -> tuple[str, str]:
    """Both with the mark, where they differ."""
    left, right = escaped(left), escaped(right)
    if left == right:
        return left, right
    start = len(os.path.commonprefix([left, right]))
    while start and not left[start - 1].isspace():
        start -= 1
    return left[:start] + MARK + left[start:], right[:start] + MARK + right[start:]


def _wrapped(text: str, width: int) -> list[str]:
    """Its own lines, each of them wrapped; what has no spaces is cut."""
    return [part for line in text.splitlines() for part in textwrap.wrap(line, width) or [""]]
