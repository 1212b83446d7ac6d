"""Hashes of what a run reads: texts, weights, files."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["hash_of_files", "hash_of_lines", "hash_of_tensors"]


def hash_of_lines(lines: Iterable[object]) -> str:
    """Of the representation of values, in their order: strings, numbers, and tuples of them.

    >>> hash_of_lines([(1, "a"), (2, "b")]) == hash_of_lines([(1, "a"), (2, "c")])
    False
    """
    digest = hashlib.sha256()
    for line in lines:
        digest.update(repr(line).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()[:16]


def hash_of_tensors(tensors: "Mapping[str, Tensor]") -> str:
    """Of names, shapes and every bit of the values, wherever they lie: of sums over rows and over columns, of integers.

    Much faster than a hash of the bytes, and as good against accidents: against an attacker it is none.

    >>> import torch
    >>> weight = torch.arange(6.0).reshape(2, 3)
    >>> hash_of_tensors({"w": weight}) == hash_of_tensors({"w": weight.flip(0)})
    False
    """
    import torch  # collecting histories hashes too, and needs none of it

    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        value = tensor.detach()
        digest.update(repr((name, tuple(value.shape), str(value.dtype))).encode())
        if not value.numel():
            continue
        if value.is_complex():
            value = torch.view_as_real(value)
        bits = value.contiguous().view(integers[value.element_size()])
        rows = bits.reshape(-1, bits.shape[-1] if bits.ndim else 1)
        for axis in (0, 1):
            digest.update(rows.sum(dim=axis, dtype=torch.int64).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def hash_of_files(paths: Iterable[Path]) -> str:
    """Of the content of files, in their order.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
