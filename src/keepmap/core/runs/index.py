"""The index of a run's records: a line for each, with its seconds; records decide, without it only times are gone."""

import json
from collections.abc import Mapping
from pathlib import Path

from keepmap.errors import OutputError

__all__ = ["INDEX", "add_to_index", "read_index"]

INDEX = "index.jsonl"


def add_to_index(folder: Path, unit: str, seconds: float) -> None:
    """Add a unit whose record is there.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with (folder / INDEX).open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps({"unit": unit, "seconds": seconds}) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {folder / INDEX}: {error.strerror or error}") from error


def read_index(folder: Path) -> Mapping[str, float]:
    """Unit -> seconds, the last one where it was done twice; a line that was cut off by a kill is passed over.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     add_to_index(Path(folder), "a", 1.5)
    ...     print(read_index(Path(folder)))
    {'a': 1.5}
    """
    seconds: dict[str, float] = {}
    try:
        lines = (folder / INDEX).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return seconds
    for line in lines:
        try:
            entry = json.loads(line)
            seconds[str(entry["unit"])] = float(entry["seconds"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
    return seconds
