"""Arrays in the page: packed to bits or bytes, deflated, and in base64; each is a script element that nothing runs."""

import base64
import zlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["Arrays", "packed_flags", "packed_floats", "packed_numbers"]


class Arrays:
    """The arrays of a page, each once: equal ones share an element.

    Attributes:
        size: bytes of all elements so far.
    """

    def __init__(self) -> None:
        self._ids: dict[bytes, str] = {}
        self.size = 0

    def add(self, packed: bytes) -> str:
        """Take a packed array; the id of its element."""
        if packed not in self._ids:
            self._ids[packed] = f"a{len(self._ids)}"
            self.size += -(-len(packed) // 3) * 4
        return self._ids[packed]

    def add_text(self, text: str) -> str:
        """Take a text, as UTF-8."""
        return self.add(deflated(text.encode()))

    def elements(self) -> str:
        """All of them as HTML."""
        return "\n".join(
            f'<script type="application/octet-stream" id="{name}">{base64.b64encode(packed).decode()}</script>'
            for packed, name in self._ids.items()
        )


def packed_flags(flags: Bool[np.ndarray, "..."]) -> bytes:
    """A bit each, the highest of a byte first.

    >>> zlib.decompress(packed_flags(np.array([True, False, True])), -15)
    b'\\xa0'
    """
    return deflated(np.packbits(flags.reshape(-1)).tobytes())


def packed_numbers(numbers: Int[np.ndarray, " n"]) -> tuple[bytes, Mapping[str, int]]:
    """Whole numbers from 0 in planes, the lowest byte of all of them first; and how many, of how many bytes.

    >>> packed, about = packed_numbers(np.array([1, 258]))
    >>> zlib.decompress(packed, -15), about
    (b'\\x01\\x02\\x00\\x01', {'n': 2, 'bytes': 2})
    """
    most = int(numbers.max()) if numbers.size else 0
    width = max(1, (most.bit_length() + 7) // 8)
    planes = numbers.astype("<u4").view(np.uint8).reshape(-1, 4).T[:width]
    return deflated(planes.tobytes()), {"n": numbers.size, "bytes": width}


def packed_floats(values: Float[np.ndarray, "..."]) -> tuple[bytes, Mapping[str, int]]:
    """The upper halves of 32-bit floats, rounded, in planes: two to three digits of each."""
    bits = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint32).astype(np.uint64)
    rounded = np.where(np.isfinite(values.reshape(-1)), (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, bits >> 16)
    planes = np.minimum(rounded, 0xFFFF).astype("<u2").view(np.uint8).reshape(-1, 2).T
    return deflated(planes.tobytes()), {"n": values.size, "bytes": 2}


def deflated(raw: bytes) -> bytes:
    """As `DecompressionStream("deflate-raw")` reads it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(raw) + packer.flush()
