"""Hashes of what a run reads: texts, weights, files, and of what an object is made of."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from keepmap.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["hash_of_files", "hash_of_lines", "hash_of_tensors", "hash_of_value"]


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

    Raises:
        ModelError: one of them is not in memory.
    """
    import torch  # collecting histories hashes too, and needs none of it

    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        if tensor.is_meta:
            raise ModelError(
                f"a file says of what weights it is, and {name} is offloaded; load the model without offloading"
            )
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


def hash_of_value(value: object) -> str:
    """Of what a value is made of: its class, the tensors, arrays, numbers and strings in it, and of a function its
    name, its constants and what it has taken along.

    Numbers and strings under a private name do not count, as an object may note there what it has done. Where code
    differs in nothing but its operators, that is not seen.

    >>> import torch
    >>> by_two, by_three = (lambda x, factor=factor: factor * x for factor in (torch.tensor(2.0), torch.tensor(3.0)))
    >>> hash_of_value(by_two) == hash_of_value(by_three)
    False
    """
    return hash_of_lines(_lines("", value, ()))


def _lines(name: str, value: Any, above: tuple[int, ...]) -> Iterator[tuple[str, ...]]:
    """What counts of a value, which is called `name` where it was found.

    Args:
        above: the objects that it was found in; one that has itself in it is looked into once.
    """
    kind = type(value)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield name, kind.__name__, repr(value)
        return
    yield name, (value if isinstance(value, type) else kind).__qualname__
    if isinstance(value, type) or id(value) in above:
        return
    parts: Iterable[tuple[str, Any]]
    if isinstance(value, np.ndarray | np.generic):
        bits = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        parts = [("", str(value.dtype)), ("", repr(value.shape)), ("", bits)]
    elif hasattr(value, "untyped_storage"):
        parts = [("", hash_of_tensors({"": value}))]
    elif hasattr(value, "state_dict"):
        parts = [(str(key), part) for key, part in value.state_dict().items()]
    elif isinstance(value, FunctionType):
        parts = [*_of_code(value.__code__), ("defaults", value.__defaults__), ("more", value.__kwdefaults__)]
        parts += [("taken", cell.cell_contents) for cell in value.__closure__ or ()]
    elif isinstance(value, MethodType):
        parts = [("", value.__qualname__), ("self", value.__self__)]
    elif isinstance(value, partial):
        parts = [("", value.func), ("", value.args), ("", value.keywords)]
    elif isinstance(value, Mapping):
        parts = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(str(at), part) for at, part in enumerate(value)]
    elif isinstance(value, set | frozenset):
        parts = [("", part) for part in sorted(map(repr, value))]
    else:
        scalars = bool | int | float | complex | str | bytes
        own: dict[str, Any] = getattr(value, "__dict__", {})
        parts = [
            (key, part) for key, part in own.items() if not (key.startswith("_") and isinstance(part, scalars | None))
        ]
    for key, part in parts:
        yield from _lines(f"{name}.{key}", part, (*above, id(value)))


def _of_code(code: CodeType) -> list[tuple[str, Any]]:
    """A function's name, what it names, and its constants."""
    own = [("name", code.co_qualname), ("names", code.co_names)]
    for constant in code.co_consts:
        own += _of_code(constant) if isinstance(constant, CodeType) else [("constant", constant)]
    return own


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
