"""An AttentionProfile as one safetensors file with JSON in its header."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from keepmap.attention.landmarks import Landmarks
from keepmap.core.files import in_one_order, written_whole
from keepmap.errors import InputError

__all__ = ["read", "write"]

FORMAT = "keepmap-attention/2"
_ABOUT = ("layers", "heads", "kv_heads", "n_sink", "window", "info", "labels")


def write(parts: Mapping[str, Any], path: Path) -> None:
    """Write the parts of a profile by name, all but the captured queries and keys, whole or not at all.

    Raises:
        OutputError: the path cannot be written.
    """
    tensors = {name: value.clone() for name, value in parts.items() if isinstance(value, Tensor)}
    about = {name: parts[name] for name in _ABOUT} | {"info": dict(parts["info"])}
    about["landmarks"] = None if parts["landmarks"] is None else asdict(parts["landmarks"])
    metadata = {"format": FORMAT, "about": json.dumps(about, sort_keys=True)}
    with written_whole(path) as temporary:
        temporary.write_bytes(in_one_order(save(tensors, metadata=metadata)))


def read(path: Path) -> dict[str, Any]:
    """The parts of a profile that `write` wrote, by name.

    Raises:
        InputError: no such file, or not a profile.
    """
    if not path.is_file():
        raise InputError(f"no AttentionProfile at {path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
            tensors: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(metadata["about"])
        for name in ("layers", "heads", "kv_heads", "labels"):
            about[name] = None if about[name] is None else tuple(about[name])
        marks = about.get("landmarks")
        marks = None if marks is None else Landmarks(**{name: tuple(values) for name, values in marks.items()})
        return tensors | {name: about[name] for name in _ABOUT} | {"landmarks": marks}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not an AttentionProfile, or is damaged: {error}") from None
