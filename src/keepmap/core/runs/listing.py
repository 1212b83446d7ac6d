"""The runs under a folder, and how far each is: read from their `run.json` and their records, and from nothing else."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keepmap.core.runs.folder import RUN_FILE, RunFile
from keepmap.core.runs.reading import run_state

__all__ = ["RunState", "runs_under"]

_CHECKPOINT = re.compile(r"ckpt-(\d{1,18})")
DEEPEST = 4
"""Folders below the one that is looked at."""


@dataclass(frozen=True)
class RunState:
    """A run and how far it is.

    Attributes:
        folder: where it is. file: what its `run.json` says.
        n_done: units of work whose records are there, or steps that are done; of `n_all`.
        is_going_on: whether a process is at work there now.
    """

    folder: Path
    file: RunFile
    n_done: int
    is_going_on: bool

    @property
    def n_all(self) -> int:
        """The units or steps of the whole run; 0 where it does not count them."""
        return len(self.file.units) if self.file.steps is None else self.file.steps

    @property
    def n_lost(self) -> int:
        """Of a finished run, the records that are not there any more: its command makes them again."""
        keeps = self.file.finished and not self.file.released and self.file.steps is None
        return len(self.file.units) - self.n_done if keeps else 0

    @property
    def state(self) -> str:
        """In words: "finished", "going on, 3 of 12", "stopped at 3 of 12", "stopped" where nothing is counted; of one
        that was finished and has lost records since, "finished, and 3 of its 12 records are gone since".

        Where all units are there and the run is not finished, that says so: what it makes of them is still to come.
        """
        share = f"{self.n_done:,} of {self.n_all:,}" if self.n_all else ""
        if self.n_all and self.n_done >= self.n_all:
            share += ", its results are still to be written"
        if self.is_going_on:
            return f"going on, {share}" if share else "going on"
        if self.file.finished:
            gone = f", and {self.n_lost:,} of its {self.n_all:,} records are gone since" if self.n_lost else ""
            return f"finished{gone}"
        return f"stopped at {share}" if share else "stopped"


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
        folder, folders_in = Path(path), tuple(folders)
        folders[:] = sorted(folders) if len(folder.relative_to(top).parts) < DEEPEST else []
        if RUN_FILE in files and (state := run_state(folder)) is not None:
            file, is_going_on = state
            yield RunState(folder, file, _n_done(folder, file, folders_in), is_going_on)


def _n_done(folder: Path, file: RunFile, folders_in: Iterable[str]) -> int:
    if file.steps is None:
        return sum((folder / unit).is_file() for unit in file.units)
    return _steps(folders_in) if file.done is None else file.done


def _steps(names: Iterable[str]) -> int:
    """The number of the last step that a folder `ckpt-N` tells of."""
    return max((int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))), default=0)
