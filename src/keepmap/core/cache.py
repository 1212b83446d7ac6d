"""Folders that are made once and kept on this disk: written whole, checked at each use, and safe to lose."""

import json
import logging
import mmap
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import platformdirs
from filelock import FileLock

from keepmap.core.files import folder_written_whole, read_json

__all__ = ["cache_folder", "cached"]

_CONTENTS = "contents.json"


def cache_folder() -> Path:
    """Where the cache is: `KEEPMAP_CACHE`, or the folder that this system has for a user's caches."""
    return Path(os.environ.get("KEEPMAP_CACHE") or platformdirs.user_cache_path("keepmap")).expanduser()


def cached(key: str, fill: Callable[[Path], None]) -> Path | None:
    """The folder `key` of the cache; filled first where it is not there, or where a file of it is damaged.

    One process fills it, others that want it wait. Where nothing can be written a line on stderr says so.

    Args:
        key: what the content depends on, such as a hash; slashes make folders.
        fill: writes the files into the empty folder that it is given; what it raises is raised.

    Returns:
        The folder; None where it is neither there nor can be written.
    """
    folder = cache_folder() / key
    if _is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if not _is_whole(folder):
                for left_over in folder.parent.glob(f".{folder.name}.*.part"):  # by a process that was killed
                    shutil.rmtree(left_over)
                with folder_written_whole(folder) as temporary:
                    fill(temporary)
                    _write_contents(temporary)
    except OSError as error:
        logging.getLogger(__name__).warning(
            "keepmap works without its cache %s: %s; KEEPMAP_CACHE can name another folder", cache_folder(), error
        )
        return None
    return folder


def _write_contents(folder: Path) -> None:
    files = {path.name: _fingerprint(path) for path in sorted(folder.iterdir())}
    (folder / _CONTENTS).write_text(json.dumps(files, indent=2), encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    """Whether each file is as it was written; a checksum costs less than reading the file."""
    try:
        files = read_json(folder / _CONTENTS)
        return all(_fingerprint(folder / name) == expected for name, expected in files.items())
    except (OSError, ValueError, AttributeError):
        return False


def _fingerprint(path: Path) -> list[int]:
    """What tells one content of a file from another: its size in bytes and its CRC-32."""
    if not (size := path.stat().st_size):
        return [0, 0]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [size, zlib.crc32(content)]
