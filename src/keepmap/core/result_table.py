"""What every result with rows can do: plain dictionaries, pandas, CSV, LaTeX, and a table in a notebook."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from keepmap.core.arguments import as_path
from keepmap.core.files import write_text
from keepmap.core.storage.own import begins_with, require_free
from keepmap.errors import InputError, escaped

if TYPE_CHECKING:
    import pandas

__all__ = ["ResultTable"]

_LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "Δ": r"$\Delta$",
}


class ResultTable:
    """A result that has `rows`: one dictionary of plain values each, all with the same keys in the same order.

    A notebook shows `columns` of them, or all.
    """

    @property
    def rows(self) -> Sequence[Mapping[str, object]]:
        """One dictionary of plain values (str, int, float, bool, None) per row."""
        raise NotImplementedError

    @property
    def columns(self) -> Sequence[str]:
        """The columns that a notebook, a terminal and LaTeX show, in this order; all by default."""
        return tuple(self.rows[0]) if self.rows else ()

    @property
    def header(self) -> Sequence[str]:
        """The keys of every row, in their order."""
        return tuple(self.rows[0]) if self.rows else self.columns

    @property
    def caption(self) -> str:
        """What the table shows, in one line."""
        return type(self).__name__

    def to_pandas(self) -> "pandas.DataFrame":
        """The rows as a DataFrame.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise InputError("to_pandas needs pandas, which is not installed: pip install 'keepmap[pandas]'") from None
        return pandas.DataFrame([dict(row) for row in self.rows], columns=list(self.header))

    def to_csv(self, path: str | Path | None = None, *, overwrite: bool = False) -> str:
        """The rows as CSV, after a header that is there without rows, too; written whole to `path` where one is given.

        Args:
            overwrite: whether a file is written over that does not begin with the same header.

        Raises:
            OutputError: the path cannot be written, or another file is there.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self.header:
            writer.writerow(self.header)
        writer.writerows([row.values() for row in self.rows])
        return _written(text.getvalue(), path, 1, "a CSV file with the same header", overwrite)

    def to_latex(self, path: str | Path | None = None, *, overwrite: bool = False) -> str:
        """The shown columns as a LaTeX tabular (booktabs), to four significant digits; written whole to a `path`.

        Args:
            overwrite: whether a file is written over that does not begin with the same header.

        Raises:
            OutputError: the path cannot be written, or another file is there.
        """
        shown = list(self.columns)
        numeric = {name for name in shown if all(isinstance(row[name], int | float | None) for row in self.rows)}
        lines = [
            f"\\begin{{tabular}}{{{''.join('r' if name in numeric else 'l' for name in shown)}}}",
            "\\toprule",
            " & ".join(map(_latex, shown)) + r" \\",
            "\\midrule",
            *(" & ".join(_latex(_short(row[name])) for name in shown) + r" \\" for row in self.rows),
            "\\bottomrule",
            "\\end{tabular}",
        ]
        return _written("\n".join(lines) + "\n", path, 3, "a LaTeX table with the same header", overwrite)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{_cell(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{_cell(_short(row[name]))}</td>" for name in self.columns) + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{_cell(self.caption)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    return escape(escaped(text))


def _written(text: str, path: object, header: int, kind: str, overwrite: bool) -> str:
    """The text, written whole where there is a path; over files of this kind alone, whose first lines are the same."""
    if path is not None:
        place = as_path("path", path)
        start = "".join(text.splitlines(keepends=True)[:header])
        require_free(place, begins_with(start.encode()), kind, overwrite)
        write_text(place, text)
    return text


def _short(value: object) -> str:
    """A value as a cell shows it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)
