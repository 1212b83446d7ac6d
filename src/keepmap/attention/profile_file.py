"""An AttentionProfile as one safetensors file with JSON in its header."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keepmap.attention.landmarks import Landmarks
from keepmap.core.arguments import as_integer
from keepmap.core.storage.fields import typed
from keepmap.core.storage.tensors import read_labelled, require_file, write_labelled
from keepmap.errors import InputError

__all__ = ["read", "write"]

FORMAT = "keepmap-attention/2"
_COUNTS = ("queries", "measured", "n_visible", "max_position")
"""The tensors of integers; all others are of floating-point numbers."""
_ABOUT = ("layers", "heads", "kv_heads", "n_sink", "window", "info", "labels")


def write(parts: Mapping[str, Any], path: Path, *, overwrite: bool = False) -> None:
    """Write the parts of a profile by name, all but the captured queries and keys, whole or not at all.

    A folder that is not there is made.

    Raises:
        OutputError: the path cannot be written, or holds a file of another kind and that is not to be written over.
    """
    # Copies: the queries and the measured ones may be one tensor, and no file holds one twice.
    tensors = {name: value.clone() for name, value in parts.items() if isinstance(value, Tensor)}
    about = {name: parts[name] for name in _ABOUT} | {"info": dict(parts["info"])}
    about["landmarks"] = None if parts["landmarks"] is None else asdict(parts["landmarks"])
    write_labelled(path, FORMAT, about, tensors, kind="an AttentionProfile", overwrite=overwrite)


def read(path: Path) -> dict[str, Any]:
    """The parts of a profile that `write` wrote, by name.

    Raises:
        InputError: no such file, or not a profile.
    """
    require_file(path, "AttentionProfile")
    try:
        about, tensors = read_labelled(path, FORMAT)
        parts: dict[str, Any] = {name: about[name] for name in _ABOUT}
        for name in ("layers", "heads", "kv_heads", "labels"):
            parts[name] = None if parts[name] is None else tuple(parts[name])
        marks = about.get("landmarks")
        parts["landmarks"] = None if marks is None else _landmarks(marks)
        _check(parts, tensors)
        return parts | tensors
    except KeyError as error:
        raise InputError(f"{path} is not an AttentionProfile, or is damaged: it has no {error}") from None
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not an AttentionProfile, or is damaged: {error}") from None


def _landmarks(marks: Mapping[str, Any]) -> Landmarks:
    """The landmarks that a file says; ValueError, KeyError or TypeError where it says others than numbers."""
    rewards = tuple(typed(reward, float | None, "rewards") for reward in marks["rewards"])
    episodes, steps = (tuple(typed(number, int, name) for number in marks[name]) for name in ("episodes", "steps"))
    return Landmarks(episodes, steps, rewards)


def _check(parts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Whether what is said and the tensors are of one profile; ValueError, KeyError or TypeError where they are not."""
    layers, heads, n = tensors["received"].shape
    queries, measured = tensors["queries"], tensors["measured"]
    for name, value in tensors.items():
        other = {"rows": (layers, heads, len(queries), n), "queries": (len(queries),), "measured": (len(measured),)}
        if tuple(value.shape) != other.get(name, (layers, heads, n)):
            raise ValueError(f"its {name} are of the shape {tuple(value.shape)}")
        if (value.dtype == torch.int64) != (name in _COUNTS) or not (name in _COUNTS or value.is_floating_point()):
            raise ValueError(f"its {name} are of {value.dtype}")
    for name, size in (("layers", layers), ("heads", heads), ("kv_heads", heads)):
        if len([as_integer(name, part) for part in parts[name]]) != size:
            raise ValueError(f"it has {len(parts[name])} {name}, and tensors of {size}")
    for name, positions in (("queries", queries), ("measured", measured)):
        if not bool(((positions >= 0) & (positions < n)).all()) or not len(measured):
            raise ValueError(f"its {name} are not positions of {n}")
    as_integer("n_sink", parts["n_sink"])
    as_integer("window", parts["window"])
    if not isinstance(parts["info"], Mapping):
        raise ValueError("its info is not a mapping")
    if parts["labels"] is not None and not all(isinstance(label, str) for label in parts["labels"]):
        raise ValueError("its labels are not texts")
    marks = parts["landmarks"]
    if marks is not None and {len(marks.episodes), len(marks.steps), len(marks.rewards)} != {n}:
        raise ValueError(f"its landmarks are not of {n} positions")
