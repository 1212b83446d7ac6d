"""The arrays of a file of histories: of that file alone, and no larger than memory."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from keepmap.core.outside.memory import require_memory
from keepmap.errors import InputError, KeepmapError

__all__ = ["require_room_for", "stored_array", "stored_facts", "stored_file"]

NUMBERS = "biuf"
"""Kinds of numbers; elements of other kinds can be of any size, or lie anywhere."""


HEAP = b"GCOL\1\0\0\0"
"""What a heap of texts of any length begins with, in HDF5."""


@contextmanager
def stored_file(path: Path) -> Iterator[h5py.File]:
    """The file, open for reading; whatever h5py finds wrong with it is one line."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise InputError(f"no histories at {path}: {what}; make them with keepmap collect")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except KeepmapError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"cannot read {path} as HDF5 ({reason}); it is truncated, damaged or another kind of file: collect it again"
        ) from error


def stored_facts(path: Path, file: h5py.File) -> dict[str, Any]:
    """What a file says of itself: numbers, texts, and arrays of numbers.

    Raises:
        InputError: it says something of another kind, or a text lies where the file is damaged.
    """
    kinds = {name: file.attrs.get_id(name).get_type() for name in file.attrs}
    for name, kind in kinds.items():
        if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM):
            raise InputError(
                f"{path}: what it says as {name!r:.60} is neither a number nor a text; collect the file again"
            )
    if any(isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str() for kind in kinds.values()):
        _require_whole_heaps(path)
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in file.attrs.items()}


def _require_whole_heaps(path: Path) -> None:
    """Whether the parts of each heap of texts follow one another to its end: of a damaged one HDF5 never finds it.

    Texts of any length lie in heaps, which have no checksum; files of earlier versions of keepmap have such texts.
    """
    content = path.read_bytes()
    for heap in re.finditer(re.escape(HEAP), content):
        size = int.from_bytes(content[heap.end() : heap.end() + 8], "little")
        at, end = heap.start() + 16, heap.start() + size
        whole = end <= len(content)
        # Each part has its number, how often it is used and its length; what is free has the number 0, and a length
        # that counts these, too.
        while whole and end - at >= 16:
            length = int.from_bytes(content[at + 8 : at + 16], "little")
            step = 16 + -(-length // 8) * 8 if content[at : at + 2] != b"\0\0" else length
            whole = 16 <= step <= end - at
            at += step
        if not whole:
            raise InputError(f"{path} is damaged where its texts are; collect it again")


def stored_array(path: Path, file: h5py.File, key: str, name: str) -> h5py.Dataset | None:
    """The array `name` of the group `key`; None where the group has none of that name.

    Raises:
        InputError: it lies elsewhere than in the file itself, or is no array of numbers.
    """
    group = _own(path, file, key)
    if not isinstance(group, h5py.Group):
        raise InputError(f'{path}: "{key}" is not a group; a file of learning histories has one for each goal')
    if name not in group:
        return None
    array = _own(path, group, name)
    if not isinstance(array, h5py.Dataset):
        return None
    if array.is_virtual or array.external:
        raise InputError(f"{path}: {name} of group {key} lies in another file; collect the histories into one file")
    if array.dtype.kind not in NUMBERS:
        raise InputError(f"{path}: {name} of group {key} are not numbers; collect the file again")
    return array


def require_room_for(path: Path, arrays: list[h5py.Dataset]) -> None:
    """Whether arrays of the declared size go into memory; such a file can be a few bytes long.

    Raises:
        InputError: they do not.
    """
    declared = sum(array.size * array.dtype.itemsize for array in arrays)
    require_memory(declared, f"{path}: a goal's histories", "collect fewer learners or episodes")


def _own(path: Path, group: h5py.Group, name: str) -> object:
    """What has this name in the file itself: no other is opened for it."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise InputError(f'{path}: "{name}" is a link to elsewhere; collect the histories into one file')
    return group[name]
