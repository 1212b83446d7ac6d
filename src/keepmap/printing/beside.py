"""Two texts beside each other in columns, with a mark where they part."""

import os
import textwrap
import unicodedata

from keepmap.errors import escaped

__all__ = ["MARK", "beside"]

MARK = ">>>"
"""Stands in both texts before the first letter that differs."""
_BETWEEN = " | "


def beside(titles: tuple[str, str], texts: tuple[str, str], width: int) -> list[str]:
    """Lines of two columns, each text wrapped to half of the width; a mark stands before the letter where they part.

    >>> print("\\n".join(beside(("left", "right"), ("a code is 12", "a code is 13"), 33)))
    left            | right
    ---------------------------------
    a code is 1>>>2 | a code is 1>>>3

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
    if left == right:
        return escaped(left), escaped(right)
    start = len(os.path.commonprefix([left, right]))
    # What an accent or a joiner belongs to stands before it, and is not torn from it.
    while start and any(unicodedata.combining(text[start : start + 1] or "a") for text in (left, right)):
        start -= 1
    marked_left, marked_right = (escaped(text[:start]) + MARK + escaped(text[start:]) for text in (left, right))
    return marked_left, marked_right


def _wrapped(text: str, width: int) -> list[str]:
    """Its own lines, each of them wrapped; what has no spaces is cut."""
    return [part for line in text.splitlines() for part in textwrap.wrap(line, width) or [""]]
