"""Listing runs: their state, and the command that goes on with each that is not finished."""

import shlex
from pathlib import Path

from keepmap.core.arguments import as_path
from keepmap.core.runs.listing import RunState, runs_under
from keepmap.errors import InputError, on_one_line

__all__ = ["show_runs"]


def show_runs(folder: str | Path = ".") -> tuple[RunState, ...]:
    """Print the runs in a folder and below it: which verb, how far, and the command that goes on.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as empty:
    ...     runs = show_runs(empty)  # doctest: +ELLIPSIS
    No runs in ...

    Raises:
        InputError: there is no such folder.
    """
    top = as_path("folder", folder)
    if not top.is_dir():
        raise InputError(f"no folder at {top}; name one that runs are in, or below")
    runs = runs_under(top)
    if not runs:
        print(f"No runs in {on_one_line(top)}")
    for run in runs:
        print(f"{on_one_line(run.folder)}: {on_one_line(run.file.identity.verb)}, {run.state}")
        if (run.n_lost or not run.file.finished) and not run.is_going_on:
            print(f"  {_goes_on(run)}")
    return runs


def _goes_on(run: RunState) -> str:
    """The command as a shell takes it; every word is quoted, since a file says it."""
    words = run.file.command
    if not words:
        return "it was called from Python; the same call goes on"
    command = shlex.join(["keepmap", *words[1:]])
    if Path(run.file.cwd) != Path.cwd():
        command = f"cd {shlex.quote(run.file.cwd)} && {command}"
    return on_one_line(command)
