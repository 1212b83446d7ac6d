"""The records of a run as one table, also while it is going on: what is finished, whole, and of this run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keepmap.core.arguments import as_path
from keepmap.core.result_table import ResultTable
from keepmap.core.runs.folder import RUN_FILE, RunFile, read_run_file
from keepmap.core.runs.index import read_index
from keepmap.core.runs.lock import is_taken
from keepmap.core.runs.records import read_record
from keepmap.errors import InputError, escaped

__all__ = ["RunRecords", "read_run", "run_state"]

SHOWN = 8
"""Columns that a notebook and LaTeX show; all are in `rows`."""
Value = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, repr=False)
class RunRecords(ResultTable):
    """What a run has written so far, a row for each unit of work: as dictionaries, in pandas, as CSV.

    Attributes:
        folder: of the run. verb: what it does.
        records: by unit; the values of values are called "entries.kept". Of units that are damaged or not there, none.
        n_units: how many there will be. n_damaged: how many are there and cannot be used, and will be done again.
        finished: whether the run says that it is. is_going_on: whether a process was at work in it.

    >>> import tempfile
    >>> from keepmap.core.runs.folder import RunFolder
    >>> from keepmap.core.runs.identity import Identity
    >>> from keepmap.core.runs.records import write_record
    >>> run = Identity(verb="compare", options={}, versions={}, hashes={})
    >>> with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder), run, overwrite=False) as place:
    ...     place.begin(["a.json", "b.json"], [])
    ...     write_record(Path(folder, "a.json"), place.run, {"nll": 1.5})
    ...     records = read_run(folder)
    >>> records.rows, records.n_units, records.finished
    ([{'unit': 'a.json', 'nll': 1.5}], 2, False)
    """

    folder: Path
    verb: str
    records: Mapping[str, Mapping[str, Value]]
    n_units: int
    n_damaged: int
    finished: bool
    is_going_on: bool

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per record, in the order of the units; None where a record has no such value."""
        names = dict.fromkeys(name for record in self.records.values() for name in record)
        return [{"unit": unit, **{name: record.get(name) for name in names}} for unit, record in self.records.items()]

    @property
    def header(self) -> tuple[str, ...]:
        """The keys of every row, in their order."""
        rows = self.rows
        return tuple(rows[0]) if rows else ("unit",)

    @property
    def columns(self) -> tuple[str, ...]:
        """The first columns of the table after the name of the unit."""
        return self.header[1 : SHOWN + 1] or self.header

    @property
    def caption(self) -> str:
        """Which run, and how far it is."""
        state = "finished" if self.finished else "going on" if self.is_going_on else "stopped"
        damaged = f", {self.n_damaged:,} damaged" if self.n_damaged else ""
        return escaped(
            f"{self.verb} in {self.folder}: {len(self.records):,} of {self.n_units:,} records{damaged}, {state}"
        )

    def __repr__(self) -> str:
        return f"RunRecords: {self.caption}"


def read_run(path: str | Path) -> RunRecords:
    """Read the records of a run, whatever became of it; what is being written, damaged or of another run is no row.

    >>> read_run("no_run_is_here")
    Traceback (most recent call last):
    keepmap.errors.InputError: no run at no_run_is_here: no such folder; `keepmap runs` lists runs

    Args:
        path: the folder of the run, or its run.json.

    Raises:
        InputError: no run is there.
    """
    folder = as_path("path", path).expanduser()
    if folder.name == RUN_FILE:
        folder = folder.parent
    state = run_state(folder) if folder.is_dir() else None
    if state is None:
        reason = "no such folder"
        if folder.is_dir():
            is_link = os.path.islink(folder / RUN_FILE)
            reason = f"its {RUN_FILE} is a symbolic link" if is_link else f"it holds no {RUN_FILE} of keepmap's"
        elif folder.exists():
            reason = "it is not a folder"
        raise InputError(f"no run at {folder}: {reason}; `keepmap runs` lists runs")
    run, is_going_on = state
    root, seconds = folder.resolve(), read_index(folder)
    records: dict[str, dict[str, Value]] = {}
    n_damaged = 0
    for unit in run.units:
        file = folder / unit
        # A run.json that names files elsewhere was not written by keepmap.
        if root not in file.resolve().parents or not file.is_file():
            continue
        record = read_record(file, run.run)
        if record is None:
            n_damaged += 1
            continue
        record.pop("format", None)
        records[unit] = _flat(record) | ({"seconds": seconds[unit]} if unit in seconds else {})
    return RunRecords(
        folder=folder,
        verb=run.identity.verb,
        records=records,
        n_units=len(run.units),
        n_damaged=n_damaged,
        finished=run.finished,
        is_going_on=is_going_on,
    )


def run_state(folder: Path) -> tuple[RunFile, bool] | None:
    """Which run a folder holds, and whether a process is at work in it; None where it holds none."""
    run = read_run_file(folder)
    if run is None or (is_going_on := is_taken(folder)) or run.finished:
        return None if run is None else (run, is_going_on)
    # It may have finished, and gone, since its file was read.
    return read_run_file(folder) or run, False


def _flat(record: Mapping[str, object], above: str = "") -> dict[str, Value]:
    """Values of values under a name with a dot; lists as text."""
    flat: dict[str, Value] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = value if isinstance(value, Value) else str(value)
    return flat
