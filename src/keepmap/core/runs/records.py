"""Records of finished units of work: each written whole and synced before it counts, and checked when it is read."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from keepmap.core.files import read_json, written_whole
from keepmap.core.storage.documents import checksum

__all__ = ["OWN", "read_record", "sync", "write_record", "write_synced"]

OWN = ("run", "checksum")
"""The keys that a record has beside its content: of which run it is, and a hash of the rest."""


def write_record(path: Path, run: str, content: Mapping[str, Any]) -> None:
    """Write a unit's result: it is on the disk, or it is not there.

    Args:
        run: the digest of the run's identity.

    Raises:
        OutputError: it cannot be written.
    """
    document = {**content, "run": run}
    document["checksum"] = checksum(document)
    write_synced(path, (json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())


def write_synced(path: Path, content: bytes) -> None:
    """Write a file whole: it is on the disk when this returns, or it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
        sync(temporary)
    # The name is in the folder, which is to be on the disk too; some systems cannot sync one.
    with suppress(OSError):
        sync(path.parent)


def read_record(path: Path, run: str | None = None) -> dict[str, Any] | None:
    """The content of a record; None where there is none, or one that is damaged or, with `run`, of another run.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_record(Path(folder, "unit.json"), "ab12", {"nll": 1.5})
    ...     print(read_record(Path(folder, "unit.json"), "ab12"), read_record(Path(folder, "unit.json"), "cd34"))
    {'nll': 1.5} None
    """
    try:
        document = read_json(path)
        if document.pop("checksum") != checksum(document):
            return None
        of = document.pop("run")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    content: dict[str, Any] = document
    return content if run in (None, of) else None


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk.

    Raises:
        OSError: the system cannot.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
