"""Writing a result whole or not at all, JSON that is the same for the same values, and removing earlier results."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from keepmap.core.storage.places import as_file, file_to_write, kind_at
from keepmap.errors import OutputError

__all__ = [
    "folder_written_whole",
    "in_one_order",
    "make_folder",
    "plain",
    "read_json",
    "remove_files",
    "require_folder",
    "write_json",
    "write_text",
    "written_whole",
]

LONGEST = 50
"""Letters of a name that a temporary one repeats: of four bytes each they leave room in the 255 that a name has."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` on success, removed on any failure.

    Where `path` is a symbolic link, what it points to is written, and the link stays.

    Raises:
        OutputError: the folder does not exist or cannot be written, the disk is full, or what stands at `path` is a
            folder, a device, a FIFO or a socket.
    """
    temporary = None
    try:
        place = file_to_write(path)
        temporary = _beside(place)
        yield temporary
        os.replace(temporary, place)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path, own: Collection[str] | None = None) -> Iterator[Path]:
    """A temporary folder beside `path` to fill; renamed to `path`, in whose place it comes, on success, else removed.

    Args:
        own: names of what goes with an earlier folder there; anything else in it is somebody's, and moves into the new
            one. None where all of it goes.

    Raises:
        OutputError: the folder above does not exist or cannot be written, the disk is full, or a symbolic link stands
            at `path`: what it points to is somebody else's.
    """
    if path.is_symlink():
        raise OutputError(
            f"cannot write {path}: it is a symbolic link, and no folder is replaced through one; remove it"
        )
    place = Path(os.path.realpath(path))
    temporary = _beside(place)
    try:
        temporary.mkdir()
        yield temporary
        if own is not None and place.exists() and {path.name for path in place.iterdir()} - {*own}:
            _replace_own(place, temporary, own)
        else:
            if place.exists():
                shutil.rmtree(place)
            os.replace(temporary, place)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_own(place: Path, new: Path, own: Collection[str]) -> None:
    """Whenever it is killed, what is somebody's is in one of two folders that nobody clears away."""
    before = Path(tempfile.mkdtemp(prefix=f"{place.name}.before-", dir=place.parent))
    os.replace(place, before)
    os.replace(new, place)
    for path in before.iterdir():
        if path.name not in own:
            os.replace(path, place / path.name)
    shutil.rmtree(before)


def _beside(path: Path) -> Path:
    """A hidden name in the folder of `path`, of a length that every name may have."""
    return path.with_name(f".{path.name[:LONGEST]}.{os.getpid()}.part")


def make_folder(path: Path) -> Path:
    """Create a folder for results (and its parents) and make sure that files can be written into it.

    Raises:
        OutputError: it cannot be created, is a file, or is not writable.
    """
    probe = path / f".keepmap-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        blocked = _blocked(path)
        reason = error.strerror or error if blocked is None else f"{blocked}; name another"
        raise OutputError(f"cannot write into the folder {path}: {reason}") from error
    return path


def require_folder(path: Path, option: str) -> None:
    """Whether a folder for results is there or could be made, before work that would come to nothing.

    Nothing is written to find out. `option` is what names it.

    >>> require_folder(Path(os.devnull, "out"), "`output_dir`")
    Traceback (most recent call last):
    keepmap.errors.OutputError: cannot write into the folder /dev/null/out: /dev/null is a device, not a folder; name \
another with `output_dir`

    Raises:
        OutputError: something of its path is no folder, or it is not writable.
    """
    blocked = _blocked(path)
    nearest = next((part for part in (path, *path.parents) if part.is_dir()), None)
    if blocked is None and nearest is not None and not os.access(nearest, os.W_OK | os.X_OK):
        blocked = f"{nearest} is not writable"
    if blocked is not None:
        raise OutputError(f"cannot write into the folder {path}: {blocked}; name another with {option}")


def _blocked(path: Path) -> str | None:
    """What of a path is there and is no folder, in words."""
    for part in (path, *path.parents):
        if os.path.isdir(part):
            return None
        if os.path.exists(part):
            return f"{part} is {kind_at(part) or 'a file'}, not a folder"
        if os.path.islink(part):
            return f"{part} is a link that leads nowhere, not a folder"
    return None


def plain(value: Any) -> Any:
    """A value as JSON has it: lists for tuples and arrays, text for keys, None for NaN and infinity.

    >>> plain({1: (float("nan"), 2.5)})
    {'1': [None, 2.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # arrays, and numbers of arrays
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all, the same bytes for the same values; it is on the disk when this returns.

    Raises:
        OutputError: the path cannot be written.
    """
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with written_whole(path) as temporary, temporary.open("wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def read_json(path: Path, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """What a file of JSON holds.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: it is not JSON in UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(as_file(path).read_text(encoding="utf-8"), parse_constant=parse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_text(path: Path, text: str) -> None:
    """Write text as it is, whole or not at all.

    Raises:
        OutputError: the path cannot be written.
    """
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def remove_files(paths: Iterable[Path]) -> None:
    """Remove those of them that are files.

    Raises:
        OutputError: one cannot be removed.
    """
    for path in paths:
        try:
            if path.is_file():
                path.unlink()
        except OSError as error:
            raise OutputError(
                f"cannot remove {path} of an earlier run: {error.strerror or error}; give another `output_dir`"
            ) from error


def in_one_order(file: bytes) -> bytes:
    """The same safetensors file with a sorted header.

    Metadata comes in a random order, and equal values are to be equal files.
    """
    size = int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header = header.ljust(-(-len(header) // 8) * 8)
    return len(header).to_bytes(8, "little") + header + file[8 + size :]
