"""What a benchmark prints: tables as they come, and each figure beside its goal."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Goal", "Report"]


@dataclass(frozen=True)
class Goal:
    """A figure beside what was aimed at."""

    what: str
    found: float
    unit: str
    sign: str  # "<=" or ">="
    aim: float

    def row(self) -> list[str]:
        """The cells of its line in the table of goals."""
        met = self.found <= self.aim if self.sign == "<=" else self.found >= self.aim
        sign = "≤" if self.sign == "<=" else "≥"
        return [
            self.what,
            f"{self.found:.3g}{self.unit}",
            f"{sign} {self.aim:g}{self.unit}",
            "met" if met else "missed",
        ]


class Report:
    """Lines that are printed as they come, and kept for the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, *lines: str) -> None:
        """Print and keep lines."""
        self.lines += lines
        print(*lines, sep="\n", flush=True)

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print and keep a Markdown table with its columns aligned."""
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

        def line(row: Sequence[str]) -> str:
            return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        self.say("", f"## {title}", "", line(head), rule, *(line(row) for row in rows))
