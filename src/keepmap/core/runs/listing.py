"""The runs under a folder, and how far each is: read from their `run.json` and their records, and from nothing else."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keepmap.core.runs.folder import RUN_FILE, RunFile, read_run_file
from keepmap.core.runs.lock import is_taken

__all__ = ["RunState", "runs_under"]

DEEPEST = 4
"""Folders below the one that is looked at."""


@dataclass(frozen=True)
class RunState:
    """A run and how far it is.

    Attributes:
        folder: where it is. file: what its `run.json` says.
        n_done: units of work whose records are there, of `len(file.units)`.
        is_going_on: whether a process is at work there now.
    """

    folder: Path
    file: RunFile
    n_done: int
    is_going_on: bool

    @property
    def state(self) -> str:
        """In words: "finished", "going on, 3 of 12", "stopped at 3 of 12"."""
        share = f"{self.n_done:,} of {len(self.file.units):,}"
        if self.is_going_on:
            return f"going on, {share}"
        return "finished" if self.file.finished else f"stopped at {share}"


def runs_under(folder: Path) -> tuple[RunState, ...]:
    """The runs in a folder and in those below it, by their names; links are not followed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     runs_under(Path(folder))
    ()
    """
    return tuple(_states(folder))


def _states(top: Path) -> Iterator[RunState]:
    for path, folders, files in os.walk(top):
        folder = Path(path)
        folders[:] = sorted(folders) if len(folder.relative_to(top).parts) < DEEPEST else []
        file = read_run_file(folder) if RUN_FILE in files else None
        if file is not None:
            n_done = sum((folder / unit).exists() for unit in file.units)
            yield RunState(folder, file, n_done, is_taken(folder))
