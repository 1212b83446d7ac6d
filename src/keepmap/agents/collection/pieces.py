"""How a file of histories is laid out: in pieces that are what they say, and in trees that end.

HDF5 believes what a file says of itself: a few kilobytes can be unpacked to gigabytes, be read for hours, or lead it
round in a circle until the process crashes.
"""

import math
import mmap
import re
import zlib
from itertools import product
from pathlib import Path

import h5py

from keepmap.core.outside.memory import size_text
from keepmap.errors import InputError

__all__ = ["group_names", "require_modest_pieces", "require_packed_pieces"]

DEFLATE = h5py.h5z.FILTER_DEFLATE
FILTERS = (DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
"""Those whose result is as large as a piece, or, of the first, is looked at before it is taken."""
SMALL = 2**20
"""Bytes of a piece that may be larger than its array."""
PACKED_SMALL = 2**16
"""Packed bytes that are 64 MiB at most when they are unpacked."""
FEW = 10**6
"""Pieces that are looked up in seconds."""
BRANCH = re.compile(rb"TREE\0[^\0]", re.DOTALL)
"""How a node of a tree of names begins, in the older format of HDF5: its kind, and how far it is from the leaves."""


def group_names(path: Path, file: h5py.File, most: int) -> list[str]:
    """The names that a file has at its top; of more than `most`, so many and one more.

    Raises:
        InputError: the tree that holds them is a circle, or has a name twice.
    """
    _require_end(path, file.userblock_size)
    names: list[bytes] = []

    def add(name: bytes) -> bool | None:
        names.append(name)
        return len(names) > most or None  # anything but None ends it

    file.id.links.iterate(add, order=h5py.h5.ITER_NATIVE)
    if len(set(names)) < len(names):
        raise InputError(f"{path} is damaged where its names are; collect it again")
    return [_text(name) for name in names]


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return repr(name)


def _require_end(path: Path, begin: int) -> None:
    """Whether each branch of a tree of names is nearer to the leaves than what it grows from; HDF5 asks for no more."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        sizes = begin + (13 if content[begin + 8] < 2 else 9)
        n_address, n_length = content[sizes : sizes + 2]
        room = len(content) // 4  # for so many children: each takes more than that, and no two lie in one place
        for at in [node.start() for node in BRANCH.finditer(content)]:
            n_children, first = int.from_bytes(content[at + 6 : at + 8], "little"), at + 8 + 2 * n_address + n_length
            room -= n_children
            for child in range(n_children if room >= 0 else 0):
                place = first + child * (n_address + n_length)
                address = begin + int.from_bytes(content[place : place + n_address], "little")
                if content[address : address + 5] == b"TREE\0" and content[address + 5] >= content[at + 5]:
                    room = -1
            if room < 0:
                raise InputError(f"{path} is damaged where its names are; collect it again")


def require_modest_pieces(path: Path, where: str, array: h5py.Dataset) -> None:
    """Whether an array's pieces are as many and as large as the array needs, and are unpacked by what is known here.

    Raises:
        InputError: they are not.
    """
    layout = array.id.get_create_plist()
    filters = [layout.get_filter(number)[0] for number in range(layout.get_nfilters())]
    if not set(filters) <= set(FILTERS) or filters.count(DEFLATE) > 1:
        raise InputError(f"{path}: {where} are packed in another way than gzip, once; collect the file again")
    if array.chunks is None:
        return
    size = _size(array)
    if size > max(array.nbytes, SMALL):
        raise InputError(f"{path}: {where} are in pieces of {size_text(size)} and take less; collect the file again")
    if math.prod(_counts(array)) > max(FEW, array.nbytes // 1024):
        raise InputError(f"{path}: {where} are in {math.prod(_counts(array)):,} pieces; collect the file again")


def require_packed_pieces(path: Path, where: str, array: h5py.Dataset, steps: slice, learners: slice) -> None:
    """Whether the pieces that a part of the array lies in are no larger than they say, once unpacked.

    Raises:
        InputError: they are larger.
    """
    if array.chunks is None:
        return
    layout = array.id.get_create_plist()
    filters = [layout.get_filter(number)[0] for number in range(layout.get_nfilters())]
    if DEFLATE not in filters:
        return
    size = _size(array)
    touched = [
        range(part.indices(length)[0] // chunk, -(-part.indices(length)[1] // chunk))
        for part, length, chunk in zip((steps, learners), array.shape, array.chunks, strict=False)
    ]
    touched += [range(count) for count in _counts(array)[2:]]
    for piece in product(*touched):
        corner = tuple(number * chunk for number, chunk in zip(piece, array.chunks, strict=True))
        try:
            packed = array.id.read_direct_chunk(corner)[1]
        except RuntimeError:  # never written, which reads as zeros; or damaged, which is found when it is read
            continue
        checked = size + 4  # with a checksum that was packed, too
        if len(packed) > PACKED_SMALL and _unpacked(packed, checked + 1) > checked:
            raise InputError(f"{path}: {where} are damaged: a piece is larger than it says; collect the file again")


def _unpacked(packed: bytes, most: int) -> int:
    """The size of what is packed, or `most`."""
    try:
        return len(zlib.decompressobj().decompress(packed, most))
    except zlib.error:  # HDF5 says the same of it
        return 0


def _size(array: h5py.Dataset) -> int:
    return math.prod(array.chunks) * array.dtype.itemsize


def _counts(array: h5py.Dataset) -> list[int]:
    """Pieces, along each axis."""
    return [-(-length // chunk) for length, chunk in zip(array.shape, array.chunks, strict=True)]
