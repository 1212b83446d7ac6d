"""One page of runs that are done, of every kind: read from their folders, written as one HTML file."""

from collections.abc import Sequence
from pathlib import Path

from keepmap.commands.pages.runs import reported_runs
from keepmap.core.arguments import as_path, shown
from keepmap.drawing import require_free_report, write_report
from keepmap.errors import InputError, on_one_line

__all__ = ["report_runs"]


def report_runs(
    run_dirs: str | Path | Sequence[str | Path] = (),
    out: str | Path = "report.html",
    redact_text: bool = False,
    spans: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write one HTML page of comparisons, profiles, evaluations, studies, generations and tasks, and print where it is.

    >>> report_runs("no_run_is_here")
    Traceback (most recent call last):
    keepmap.errors.InputError: no results at no_run_is_here: no such folder; give what `keepmap compare`, ...

    Args:
        run_dirs: folders of results of `keepmap compare`, `attention`, `evaluate`, `study`, `generate`, `tasks` or
            `sweep`, one or more.
        redact_text: whether each token is replaced by its kind.
        spans: a JSON file of stretches of the first text.
        overwrite: whether a file that is no report is written over, too.

    Returns:
        The path of the page.

    Raises:
        InputError: no folder, one without results, or spans that cannot be read.
        OutputError: the page cannot be written.
    """
    folders = [run_dirs] if isinstance(run_dirs, str | Path) else run_dirs
    if not isinstance(folders, Sequence):
        raise InputError(f"expected `run_dirs` to be folders of results, got {shown(run_dirs)}")
    if not folders:
        raise InputError("no folder of results was named; give those of `keepmap compare`: keepmap report RUN_DIR")
    place = as_path("out", out)
    require_free_report(place, overwrite)
    runs = [run for folder in folders for run in reported_runs(as_path("run_dirs", folder))]
    write_report(runs, place, redact_text=redact_text, spans=spans, overwrite=overwrite)
    print(f"Report saved to: {on_one_line(place)}")
    return place
