"""What the benchmarks print, and their parts of RESULTS.md."""

import csv
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["REAL_MODEL", "Goal", "Report", "Table", "write_part"]

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
MOST_COLUMNS = 8
GOALS = ("figure", "measured", "goal", "")
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


@dataclass(frozen=True)
class Table:
    """What a benchmark measured. A page shows eight columns at most; the whole of a wider table lies beside it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    shown: Sequence[str]

    def lines(self, names: Sequence[str] | None = None) -> list[str]:
        """Markdown with its columns aligned: these columns, or all."""
        places = range(len(self.head)) if names is None else [self.head.index(name) for name in names]
        cells = [[row[place] for place in places] for row in (self.head, *self.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        first, *rest = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
            for row in cells
        ]
        return ["", f"## {self.title}", "", first, rule, *rest]


class Report:
    """Lines and tables that are printed as they come, and kept for the file."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.parts: list[str | Table] = []
        self.findings: list[str] = []
        print(f"# {title}\n", flush=True)

    def say(self, *lines: str) -> None:
        """Print and keep lines."""
        self.parts += lines
        print(*lines, sep="\n", flush=True)

    def find(self, *sentences: str) -> None:
        """Print what came out; the file begins with it."""
        self.findings += sentences
        print(*sentences, sep="\n", flush=True)

    def table(
        self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[str] | None = None
    ) -> None:
        """Print and keep a table; `shown` names the columns that a page has, by default all."""
        table = Table(title, head, rows, head if shown is None else shown)
        assert len(table.shown) <= MOST_COLUMNS, f"{title}: a page has room for {MOST_COLUMNS} columns"
        self.parts.append(table)
        print(*table.lines(), sep="\n", flush=True)

    def goals(self, goals: Sequence[Goal]) -> None:
        """Print how many goals were met, and the table of them, where there are any."""
        if goals:
            rows = [goal.row() for goal in goals]
            self.find("", *_goals_met(rows))
            self.findings += Table("Goals", GOALS, rows, GOALS).lines()
            print(*Table("Goals", GOALS, rows, GOALS).lines(), sep="\n", flush=True)


def _goals_met(rows: Sequence[Sequence[str]]) -> list[str]:
    missed = [f"{what} ({measured} for {aim})" for what, measured, aim, word in rows if word == "missed"]
    line = f"{len(rows) - len(missed)} of {len(rows)} goals are met."
    return [line, *([f"Missed: {'; '.join(missed)}."] if missed else [])]


def write_part(report: Report, script: str, arguments: Sequence[str], path: Path = RESULTS) -> None:
    """Put a report into RESULTS.md or another page, in the place of one of this title; the other parts stay.

    What was found comes first. A table that has more columns than the page shows is written whole, as CSV beside it.
    """
    command = shlex.join(["python", f"benchmarks/{script}", *arguments])
    lines = [f"# {report.title}", *report.findings, "", f"Printed by `{command}` on:", ""]
    wide = set[str]()
    for part in report.parts:
        if isinstance(part, str):
            lines.append(part)
            continue
        lines += part.lines(part.shown)
        if [*part.shown] != [*part.head]:
            name = f"{Path(script).stem.removeprefix('bench_')}.csv"
            assert name not in wide, f"{script}: one wide table has a CSV"
            wide.add(name)
            with (path.parent / name).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([part.head, *(map(_number, row) for row in part.rows)])
            lines += ["", f"[All columns]({name})"]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    pages = [part.strip() for part in re.split(r"^(?=# )", old, flags=re.M) if part.strip()]
    place = next((index for index, part in enumerate(pages) if part.splitlines()[0] == f"# {report.title}"), len(pages))
    pages[place : place + 1] = [text.strip()]
    path.write_text("\n\n".join(pages) + "\n", encoding="utf-8")
    print(f"\nwritten to {path.parent.name}/{path.name}")


def _number(cell: str) -> str:
    """A number without the commas that a page has between its thousands; any other cell as it is."""
    return cell.replace(",", "") if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", cell) else cell
