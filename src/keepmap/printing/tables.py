"""Plain text tables that fit a width: columns that do not go into it continue in a further panel."""

import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Column", "panels", "terminal_width"]

NARROWEST = 80
GAP = " "


@dataclass(frozen=True)
class Column:
    """A title and one cell per row."""

    title: str
    cells: tuple[str, ...]

    def width(self) -> int:
        """How many columns of a terminal the widest of them takes."""
        return max(_width(text) for text in (self.title, *self.cells))


def panels(first: Column, rest: Sequence[Column], width: int) -> list[str]:
    """Lines of a table: `first` at the left of every panel, the others right-aligned, as many as fit the width."""
    groups: list[list[Column]] = [[]]
    taken = first.width()
    for column in rest:
        if groups[-1] and taken + len(GAP) + column.width() > width:
            groups.append([])
            taken = first.width()
        groups[-1].append(column)
        taken += len(GAP) + column.width()
    lines: list[str] = []
    for group in groups:
        if lines:
            lines.append("")
        rows = [[first.title, *first.cells], *([column.title, *column.cells] for column in group)]
        widths = [column.width() for column in (first, *group)]
        for number, cells in enumerate(zip(*rows, strict=True)):
            head = cells[0] + " " * (widths[0] - _width(cells[0]))
            tail = (" " * (size - _width(cell)) + cell for cell, size in zip(cells[1:], widths[1:], strict=True))
            lines.append(GAP.join([head, *tail]).rstrip())
            if number == 0:
                lines.append("-" * (sum(widths) + len(GAP) * len(group)))
    return lines


def terminal_width() -> int:
    """Of the terminal; 80 where the output is piped or the terminal is narrower than that."""
    return max(NARROWEST, shutil.get_terminal_size((NARROWEST, 24)).columns)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
