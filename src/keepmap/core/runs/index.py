"""The index of a run's records: a line for each, with its seconds; records decide, and it is made again from them."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from keepmap.errors import OutputError

__all__ = ["INDEX", "add_to_index", "complete_index", "read_index"]

INDEX = "index.jsonl"


def add_to_index(folder: Path, unit: str, seconds: float | None) -> None:
    """Add a unit whose record is there, with its seconds, None where nobody knows them any more.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with (folder / INDEX).open("ab+") as file:
            line = json.dumps({"unit": unit, "seconds": seconds}) + "\n"
            if file.tell():  # what a kill cut off is a line of its own
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(line.encode())
    except OSError as error:
        raise OutputError(f"cannot write {folder / INDEX}: {error.strerror or error}") from error


def complete_index(folder: Path, units: Iterable[str]) -> None:
    """Add those of the units, all of which have records, that no line tells of: they were lost with the index.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     add_to_index(Path(folder), "a", 1.5)
    ...     complete_index(Path(folder), ["a", "b"])
    ...     print((Path(folder) / INDEX).read_text(), end="")
    {"unit": "a", "seconds": 1.5}
    {"unit": "b", "seconds": null}

    Raises:
        OutputError: it cannot be written.
    """
    entries = _entries(folder)
    for unit in units:
        if unit not in entries:
            add_to_index(folder, unit, None)


def read_index(folder: Path) -> Mapping[str, float]:
    """Unit -> seconds, the last ones known where it was done twice; a line that a kill cut off is passed over.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     add_to_index(Path(folder), "a", 1.5)
    ...     print(read_index(Path(folder)))
    {'a': 1.5}
    """
    return {unit: seconds for unit, seconds in _entries(folder).items() if seconds is not None}


def _entries(folder: Path) -> Mapping[str, float | None]:
    entries: dict[str, float | None] = {}
    try:
        lines = (folder / INDEX).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return entries
    for line in lines:
        try:
            entry = json.loads(line)
            unit, seconds = str(entry["unit"]), entry["seconds"]
            entries[unit] = entries.get(unit) if seconds is None else float(seconds)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
    return entries
