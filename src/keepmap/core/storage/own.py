"""Whose a file is: what keepmap did not write is not written over, unless the caller says so."""

import os
from collections.abc import Callable
from pathlib import Path

from keepmap.core.arguments import as_flag
from keepmap.core.storage.places import file_to_write
from keepmap.errors import OutputError

__all__ = ["begins_with", "holds", "is_blank", "require_free"]

ENDS = 2**16
"""Bytes at each end of a file among which a mark is looked for."""


def require_free(path: Path, is_own: Callable[[Path], bool], kind: str, overwrite: bool) -> None:
    """Whether a file may be written to `path`: nothing or nothing but an empty file is there, or one of the same kind.

    Args:
        is_own: whether the file at a path is of that kind; it reads the file, and raises nothing but OSError.
        kind: what messages call it, as "a KeepMap".
        overwrite: whether a file of any other kind may be written over, too.

    Raises:
        OutputError: a file of another kind is there, or what is there is no file.
    """
    try:
        place = file_to_write(path)
        free = as_flag("overwrite", overwrite) or not place.exists() or not place.stat().st_size or is_own(place)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    if not free:
        raise OutputError(f"{path} is there and is not {kind}; give another name, or overwrite=True to write over it")


def begins_with(start: bytes) -> Callable[[Path], bool]:
    """Whether a file begins so."""

    def is_own(path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(len(start)) == start

    return is_own


def holds(start: bytes, mark: bytes) -> Callable[[Path], bool]:
    """Whether a file begins so, and has a mark somewhere near its beginning or its end."""

    def is_own(path: Path) -> bool:
        with path.open("rb") as file:
            head = file.read(ENDS)
            file.seek(-min(ENDS, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return head.startswith(start) and (mark in head or mark in file.read(ENDS))

    return is_own


def is_blank(path: Path) -> bool:
    """Whether there is nothing in a small file, or zeros, as a machine that went down may leave it."""
    with path.open("rb") as file:
        content = file.read(ENDS + 1)
        return len(content) <= ENDS and not content.strip(b"\0")
