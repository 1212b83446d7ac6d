"""The way from a value up to the page that shows it: as a file, and in a notebook.

Pictures stand above the rooms that values come from. Here alone, and when a user asks for one, the way leads up.
"""

import html
from importlib import import_module
from pathlib import Path
from typing import Any

from keepmap.core.result_table import ResultTable
from keepmap.errors import KeepmapError

__all__ = ["Reported", "ReportedTable", "framed", "write_page"]

LARGEST = 4_000_000
"""Letters of a page inside a notebook."""


def write_page(value: Any, path: str | Path, *, about: dict[str, Any] | None = None, **options: Any) -> Path:
    """Write the page of one value.

    Args:
        about: what `ReportedRun` takes beside the value. options: those of `write_report`.

    Raises:
        InputError: spans that cannot be read.
        OutputError: the path cannot be written, or a file that is no report is there.
    """
    page = import_module("keepmap.drawing.page")
    written: Path = page.write_report([page.ReportedRun(value=value, **about or {})], path, **options)
    return written


def framed(value: Any, plain: str) -> str:
    """What a notebook shows of a value: its page in a sandboxed frame, and the plain table where scripts do not run.

    A page that is too large for a notebook, or that cannot be made (its files are gone), leaves the table and says why.
    """
    page = import_module("keepmap.drawing.page")
    try:
        frame: str | None = page.framed_page(value, LARGEST)
    except KeepmapError as error:
        return f"{plain}<p>No page: {html.escape(str(error))}</p>"
    if frame is None:
        return f"{plain}<p>The page is too large for a notebook: .report(path) writes it as a file.</p>"
    return f"{frame}<details><summary>The same as a table</summary>{plain}</details>"


class Reported:
    """A value that has a page, which `report` writes."""

    def report(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write one HTML file that shows it all offline: docs/report.md says what. Another report there is replaced.

        >>> import keepmap, tempfile
        >>> evaluation = keepmap.evaluate("tiny", [(7, 2)], episodes=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     evaluation.report(f"{folder}/report.html").read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'

        Args:
            overwrite: whether a file that is no report is written over, too.

        Returns:
            The path.

        Raises:
            OutputError: the path cannot be written, or a file that is no report is there.
        """
        return write_page(self, path, overwrite=overwrite)


class ReportedTable(Reported, ResultTable):
    """A table of results that has a page: a notebook shows it, and `report` writes it."""

    def _repr_html_(self) -> str:
        return framed(self, super()._repr_html_())
