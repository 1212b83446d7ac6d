"""What the benchmarks print, and their parts of RESULTS.md."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["REAL_MODEL", "Goal", "Report", "write_part"]

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
REAL_MODEL = RESULTS.parent.parent / "docs" / "real-model.md"


@dataclass(frozen=True)
class Goal:
    """A figure beside what was aimed at."""

    what: str
    measured: float
    unit: str
    sign: str  # "<=" or ">="
    aim: float

    def row(self) -> list[str]:
        """The cells of its line in the table of goals."""
        met = self.measured <= self.aim if self.sign == "<=" else self.measured >= self.aim
        sign = "≤" if self.sign == "<=" else "≥"
        return [
            self.what,
            f"{self.measured:.3g}{self.unit}",
            f"{sign} {self.aim:g}{self.unit}",
            "met" if met else "missed",
        ]


class Report:
    """Lines that are printed as they come, and kept for the file."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.lines: list[str] = []
        print(f"# {title}\n", flush=True)

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

    def goals(self, goals: Sequence[Goal]) -> None:
        """Print and keep the table of goals, where there are any."""
        if goals:
            self.table("Goals", ["figure", "measured", "goal", ""], [goal.row() for goal in goals])


def write_part(report: Report, script: str, arguments: Sequence[str], path: Path = RESULTS) -> None:
    """Put a report into RESULTS.md or another page, in the place of one of this title; the other parts stay."""
    command = shlex.join(["python", f"benchmarks/{script}", *arguments])
    text = "\n".join([f"# {report.title}", "", f"Printed by `{command}` on:", "", *report.lines])
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    parts = [part.strip() for part in re.split(r"^(?=# )", old, flags=re.M) if part.strip()]
    place = next((index for index, part in enumerate(parts) if part.splitlines()[0] == f"# {report.title}"), len(parts))
    parts[place : place + 1] = [text.strip()]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"\nwritten to {path.parent.name}/{path.name}")
