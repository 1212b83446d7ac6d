"""The arrays of a file of histories: of that file alone, and no larger than memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from keepmap.core.outside.memory import require_memory
from keepmap.errors import InputError, KeepmapError

__all__ = ["require_room_for", "stored_array", "stored_file"]

NUMBERS = "biuf"
"""Kinds of numbers; elements of other kinds can be of any size, or lie anywhere."""


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
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"cannot read {path} as HDF5 ({reason}); it is truncated, damaged or another kind of file: collect it again"
        ) from error


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
