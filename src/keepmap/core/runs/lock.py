"""One process at a time in a folder: a lock that the system takes back when its owner is gone, however it went.

The file stays when the lock is given back. Were it removed, a process that has opened it just before and one that makes
a new one would both hold a lock.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from filelock import FileLock, Timeout

from keepmap.errors import InputError, OutputError

__all__ = ["LOCK", "alone_in", "is_taken", "refuse_taken", "remove_left_over"]

LOCK = ".lock"
PATIENCE = 0.2
"""Seconds that a lock is asked for: somebody who only looks whether it is held has it for a moment, too."""
_PART = re.compile(r"\..+\.(\d+)\.part")


@contextmanager
def alone_in(folder: Path, what: str, option: str, *, waits: bool = False) -> Iterator[None]:
    """Keep other processes out of a folder, and clear away what a killed one left half-written.

    Args:
        what: is done there, and `option` is the one that names the folder.
        waits: until the other one is done, where there is one.

    Raises:
        InputError: another one is at work there.
        OutputError: no file can be made there.
    """
    if os.path.islink(folder / LOCK):
        raise OutputError(f"cannot write into the folder {folder}: its {LOCK} is a link; remove it")
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=-1 if waits else PATIENCE)
    except Timeout:
        raise _taken(folder, what, option) from None
    except OSError as error:
        raise OutputError(f"cannot write into the folder {folder}: {error.strerror or error}") from error
    try:
        remove_left_over(folder)
        yield
    finally:
        lock.release()


def refuse_taken(folder: Path, what: str, option: str) -> None:
    """Refuse a folder that somebody is at work in, before work that would come to nothing.

    Raises:
        InputError: as `alone_in`.
    """
    if is_taken(folder):
        raise _taken(folder, what, option)


def is_taken(folder: Path) -> bool:
    """Whether a process is at work in a folder now; nothing is written to find out.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     before = is_taken(Path(folder))
    ...     with alone_in(Path(folder), "run", "`output_dir`"):
    ...         print(before, is_taken(Path(folder)))
    False True
    """
    path = folder / LOCK
    if os.path.islink(path) or not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _taken(folder: Path, what: str, option: str) -> InputError:
    return InputError(f"another {what} is going on in {folder}; wait for it, or give another {option}")


def remove_left_over(folder: Path) -> None:
    """Remove what processes that are gone were writing: files and folders called `.NAME.PID.part`."""
    parts = [*folder.glob(".*.part"), *folder.glob("*/.*.part")]
    for path in parts:
        match = _PART.fullmatch(path.name)
        behind_a_link = path.parent != folder and path.parent.is_symlink()
        if match is None or behind_a_link or _is_alive(int(match[1])):
            continue
        if path.is_dir() and not path.is_symlink():
            rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _is_alive(pid: int) -> bool:
    """Whether another process has this number."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
