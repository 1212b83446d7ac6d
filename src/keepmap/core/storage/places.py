"""What stands at a path before it is read or written: a folder, a device, a FIFO or a socket is no file."""

import errno
import os
import stat
from pathlib import Path

__all__ = ["as_file", "file_to_write", "kind_at"]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_at(path: Path) -> str | None:
    """What stands at a path, symbolic links followed, where it is no file; None for a file, and for nothing.

    >>> kind_at(Path(os.devnull)), kind_at(Path.cwd()), kind_at(Path("nothing_is_here"))
    ('a device', 'a folder', None)

    Raises:
        OSError: the system does not say.
    """
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except (FileNotFoundError, NotADirectoryError):
        return None


def as_file(path: Path) -> Path:
    """The path, where no FIFO, socket or device is at it: these never end, or wait for ever.

    >>> as_file(Path(os.devnull))
    Traceback (most recent call last):
    OSError: [Errno 22] it is a device, not a file: '/dev/null'

    Raises:
        OSError: one is; the system's own are raised where the path is opened.
    """
    kind = kind_at(path)
    if kind not in (None, "a folder"):
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    return path


def file_to_write(path: Path) -> Path:
    """Where a file goes that is written to `path`: a symbolic link is followed, what it points to need not be there.

    Raises:
        OSError: what is there is no file, or the link leads in a circle.
    """
    kind = kind_at(path)
    if kind is not None:
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    return Path(os.path.realpath(path)) if path.is_symlink() else path
