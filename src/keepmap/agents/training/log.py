"""A training's log: one JSON line per entry, without those of updates that a killed run did and that are done again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from keepmap.core.files import written_whole
from keepmap.errors import OutputError

__all__ = ["Board", "Log", "read_log"]


@runtime_checkable
class Board(Protocol):
    """Where the entries of a log are shown as they are made: a terminal, TensorBoard."""

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Show the figures of one update."""

    def close(self) -> None:
        """Show what is left, and end."""


class Log:
    """Appends to a file of JSON lines, and to a board where there is one; a line is there as soon as it is written."""

    def __init__(self, path: Path, began_at: int, board: Board | None = None) -> None:
        self._board = board
        before = [entry for entry in read_log(path) if entry["step"] <= began_at]
        with written_whole(path) as temporary:
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in before))
        self._path = path

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Add the figures of one update.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            with self._path.open("a") as file:
                file.write(json.dumps({"step": step, **figures}) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error
        if self._board is not None:
            self._board.write(step, figures)

    def close(self) -> None:
        """Close the board, where there is one."""
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, float | int]]:
    """The entries of a log; none where there is no file. What follows a line that is damaged or cut off is left out."""
    if not path.is_file():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            break
        entries.append(entry)
    return entries
