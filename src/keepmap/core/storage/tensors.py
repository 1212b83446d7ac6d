"""Tensors in one safetensors file with a checksum of all that it holds: what is read is what was written."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from keepmap.core.files import in_one_order, make_folder, written_whole
from keepmap.core.storage.own import require_free
from keepmap.core.storage.places import as_file, kind_at
from keepmap.errors import InputError

__all__ = ["is_labelled", "read_labelled", "read_tensors", "require_file", "tensors_file", "write_labelled"]

CHECKSUM = "keepmap_checksum"
"""Where in the metadata of a file the checksum is; files that were written before there was one have none."""


def tensors_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file with a checksum; the same bytes for the same values."""
    values = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    known = dict(metadata or {})
    return in_one_order(save(values, metadata=known | {CHECKSUM: _checksum(values, known)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and its metadata; of a file with a checksum, what it says is what it holds.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: it is no safetensors file, or is cut or damaged.
    """
    try:
        with safe_open(as_file(path), framework="pt") as file:
            metadata: dict[str, str] = dict(file.metadata() or {})
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(" ".join(str(error).split())) from error
    checksum = metadata.pop(CHECKSUM, None)
    if checksum not in (None, _checksum(tensors, metadata)):
        raise ValueError("its checksum is not that of what it holds")
    return tensors, metadata


def write_labelled(
    path: Path,
    form: str,
    about: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    kind: str,
    overwrite: bool = False,
) -> None:
    """Write tensors with what is to be said about them, whole or not at all; a folder that is not there is made.

    Args:
        form: the name of the format and the version of its schema, as "keepmap/1".
        about: JSON values.
        kind: what messages call such a file, as "a KeepMap".
        overwrite: whether a file that is none is written over.

    Raises:
        OutputError: the path cannot be written, or a file of another kind is there.
    """
    require_free(path, lambda place: is_labelled(place, form), kind, overwrite)
    content = tensors_file(tensors, {"format": form, "about": json.dumps(about, sort_keys=True)})
    make_folder(path.parent)
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def read_labelled(path: Path, form: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What is said about the tensors that `write_labelled` wrote, and these.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: it is of another format or a newer version, or is cut or damaged.
    """
    tensors, metadata = read_tensors(path)
    _require_form(metadata.get("format"), form)
    if unknown := metadata.keys() - {"format", "about"}:
        raise ValueError(f"it says {min(unknown)!r:.60}, which is not part of its format")  # a checksum's name, damaged
    try:
        about = json.loads(metadata["about"])
    except (KeyError, RecursionError):
        raise ValueError("what it says about its tensors is missing, or nested too deeply") from None
    if not isinstance(about, dict):
        raise ValueError("what it says about its tensors is not a JSON object")
    return about, tensors


def require_file(path: Path, kind: str) -> None:
    """Whether a file stands at a path, which is to be of this kind.

    >>> require_file(Path.cwd(), "cache")
    Traceback (most recent call last):
    keepmap.errors.InputError: no cache at ...: it is a folder, not a file

    Raises:
        InputError: there is nothing, or a folder, a device, a FIFO or a socket.
    """
    if not path.is_file():
        what = kind_at(path)
        raise InputError(f"no {kind} at {path}: " + ("no such file" if what is None else f"it is {what}, not a file"))


def is_labelled(path: Path, form: str) -> bool:
    """Whether a file says of itself that it is of this format, of whatever version."""
    try:
        with safe_open(as_file(path), framework="pt") as file:
            given = (file.metadata() or {}).get("format", "")
    except (OSError, SafetensorError):
        return False
    return bool(given.partition("/")[0] == form.partition("/")[0])


def _require_form(given: str | None, form: str) -> None:
    """Whether a file is of this format; of a newer version of it, says so."""
    if given == form:
        return
    (name, _, version), (own, _, known) = (given or "").partition("/"), form.partition("/")
    if name == own and version.isdecimal() and int(version[:9]) > int(known):
        raise ValueError(f"it has version {version[:9]} of its format, this keepmap reads {known}; update keepmap")
    raise ValueError(f"its format is {given!r:.60}, not {form!r}")


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """A SHA-256 of all metadata, and of each tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        if value.numel():  # of an empty one torch makes no bytes
            digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
