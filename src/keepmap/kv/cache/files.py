"""What the layers of a cache hold, as the tensors of one safetensors file, and back.

What comes from a file is data: sizes, positions and counts are checked before anything is made of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from keepmap.core.arguments import shown
from keepmap.core.runs.hashes import hash_of_tensors, hash_of_value
from keepmap.errors import InputError
from keepmap.kv.budgets import Budget, as_json
from keepmap.kv.cache.held import Held, Terms
from keepmap.kv.cache.report import CacheReport
from keepmap.kv.cache.rows import Columns
from keepmap.kv.choosing import Threshold
from keepmap.kv.eviction.review import Sight
from keepmap.kv.method import Method, Rotation
from keepmap.kv.modes import Mode
from keepmap.kv.scoring.moments import QuerySums
from keepmap.language_model import LanguageModel

__all__ = ["FORMAT", "HISTORY", "about_of", "held_from", "history_of", "require_same", "tensors_of"]

FORMAT = "keepmap-cache/1"
HISTORY = ("seen", "full_bytes", "peak_bytes")
"""What a file tells of the passes: how many positions came, the full cache's bytes now, and the most that was held."""
_KINDS = ("columns", "ghosts")
_SCALARS = bool | int | float | str


def about_of(language_model: LanguageModel, terms: Terms, mode: Mode) -> dict[str, Any]:
    """What decided, and of which model: JSON values."""
    method, rule = terms.method, terms.of_model
    options = _options(method)
    parameters = {name: value for name, value in options.items() if not isinstance(value, _SCALARS)}
    return {
        "method": method.name,
        "class": _class_of(method),
        "options": {name: value for name, value in options.items() if isinstance(value, _SCALARS)},
        "parameters": hash_of_value(parameters) if parameters else None,
        "threshold": rule.threshold if isinstance(rule, Threshold) else None,
        "density": rule.density if isinstance(rule, Budget) else None,
        "budget": rule.count if isinstance(rule, Budget) else None,
        "budget_by": as_json(rule.by) if isinstance(rule, Budget) else None,
        "n_sink": terms.protection.n_sink,
        "window": terms.protection.window,
        "mode": mode.name,
        "chunk_size": mode.chunk_size,
        "interval": mode.interval,
        "context_length": mode.context_length,
        "seed": terms.seed,
        "weights": hash_of_tensors(language_model.model.state_dict()),
    }


def _options(method: Method) -> dict[str, Any]:
    """What an instance has of its own: its fields, and whatever else it was given."""
    instance: Any = method
    names = [field.name for field in fields(instance)] if is_dataclass(instance) else []
    own = {name: value for name, value in vars(method).items() if not hasattr(type(method), name)}
    return {name: getattr(method, name) for name in names} | own


def _class_of(method: Method) -> str:
    """A class of this package by its full name; of others without the module, whose name depends on how it is run."""
    kind = type(method)
    own = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    return f"{kind.__module__}.{kind.__qualname__}" if own else kind.__qualname__


def require_same(path: Path, about: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Whether a file is of the model, the method and the rule that are given.

    Args:
        about: what the file says. own: what `about_of` says of what is given.

    Raises:
        InputError: it is not.
    """
    # Caches that were written before say nothing of the class and of what is no number.
    written = {"class": own["class"], "parameters": own["parameters"]} | dict(about)
    differs = [name for name in own if written.get(name, own) != own[name]]
    if written["weights"] != own["weights"]:
        raise InputError(f"{path} holds a cache of another model; give the `model` that it was made with")
    if not differs:
        return
    name, before, now = differs[0], written.get(differs[0]), own[differs[0]]
    if isinstance(before, dict) and isinstance(now, dict):
        name = next(option for option in before | now if before.get(option) != now.get(option))
        before, now = before.get(name), now.get(name)
    what = f"with `{name}` {shown(before)}, got {shown(now)}"
    if name == "parameters":
        what = "of the same class, with other arrays, weights or functions"
    raise InputError(f"{path} holds a cache of another method, {what}; give the `method` that it was made with")


def history_of(seen: int, report: CacheReport) -> dict[str, int]:
    """What a file tells of the passes, by `HISTORY`."""
    return dict(zip(HISTORY, (seen, report.full_nbytes, report.peak_nbytes), strict=True))


def tensors_of(layers: Sequence[Held]) -> dict[str, Tensor]:
    """The tensors of all layers, without the room that they have to spare."""
    tensors: dict[str, Tensor] = {}
    for index, held in enumerate(layers):
        parts = list(held.slabs.parts())
        tensors |= {
            f"{index}.keys": torch.cat([keys.flatten(0, 1) for _, keys, _ in parts]),
            f"{index}.values": torch.cat([values.flatten(0, 1) for _, _, values in parts]),
            f"{index}.expires": torch.tensor(held.record.expires),
            f"{index}.known": torch.tensor(held.record.scores),
        }
        if held.sight is not None:
            tensors |= {f"{index}.sight.{name}": part for name, part in _parts_of(held.sight).items()}
        for kind in _KINDS:
            columns: Columns = getattr(held, kind)
            inside = np.arange(columns.positions.shape[1]) < columns.counts[:, None]
            tensors |= {
                f"{index}.{kind}.counts": torch.tensor(columns.counts),
                f"{index}.{kind}.positions": torch.tensor(columns.positions[inside]),
                f"{index}.{kind}.scores": torch.tensor(columns.scores[inside]),
            }
    return tensors


def held_from(tensors: Mapping[str, Tensor], index: int, heads: int, seen: int, like: Tensor) -> Held:
    """One layer, on the device and in the format of `like`.

    Raises:
        KeyError: a tensor is missing.
        ValueError: the tensors do not agree.
    """
    keys, values = tensors[f"{index}.keys"], tensors[f"{index}.values"]
    _require(keys.ndim == 2 and values.ndim == 2 and keys.dtype == values.dtype == like.dtype, "its keys or values")
    held = Held(index, heads, *(states.new_empty(0, states.shape[1], device=like.device) for states in (keys, values)))
    expires, known = tensors[f"{index}.expires"], tensors[f"{index}.known"]
    _require(expires.dtype == torch.int32 and known.dtype == torch.float32, "its record")
    _require(expires.shape == known.shape == (heads, seen), "its record")
    for kind in _KINDS:
        counts, positions, scores = (tensors[f"{index}.{kind}.{part}"] for part in ("counts", "positions", "scores"))
        fits = counts.shape == (heads,) and counts.dtype == torch.int64 and positions.dtype == torch.int32
        fits = fits and bool(((counts >= 0) & (counts <= seen)).all()) and scores.dtype == torch.float64
        _require(fits and positions.shape == scores.shape == (int(counts.sum()),), f"its {kind}")
        split = np.cumsum(counts.numpy())[:-1]
        columns: Columns = getattr(held, kind)
        columns.append(np.split(positions.numpy(), split), np.split(scores.numpy(), split))
    at, _ = held.all()
    real = at >= 0
    present = np.zeros((heads, seen), dtype=np.int64)
    entries = held.columns.counts + held.ghosts.counts
    _require(int(at.max(initial=-1)) < seen and int(real.sum()) == int(entries.sum()), "its positions")
    np.add.at(present, (np.nonzero(real)[0], at[real]), 1)
    _require(bool((present == (expires.numpy() == 0)).all()), "its positions")
    rows = held.columns.counts
    _require(len(keys) == len(values) == int(rows.sum()), "its keys or values")
    held.slabs.fill(keys.to(like.device), values.to(like.device), rows)
    held.record.append(known.numpy())
    held.record.expires[:] = expires.numpy()
    held.seen = seen
    held.sight = _sight_from(tensors, f"{index}.sight.", seen, keys.shape[1], like)
    return held


def _parts_of(sight: Sight) -> dict[str, Tensor]:
    """The tensors of the last queries; what a layer lacks is left out."""
    parts = {"queries": sight.queries, "sees_from": sight.sees_from}
    scalars = {"scaling": sight.scaling, "softcap": sight.softcap}
    parts |= {name: torch.tensor(value, dtype=torch.float64) for name, value in scalars.items() if value is not None}
    if sight.sinks is not None:
        parts["sinks"] = sight.sinks.detach()
    if (rotation := sight.rotation) is not None:
        parts |= {"frequency": rotation.frequency, "scale": torch.tensor(rotation.scale, dtype=torch.float64)}
        parts["interleaved"] = torch.tensor(rotation.interleaved)
    if (sums := sight.sums) is not None:
        parts |= {"summed": torch.tensor([sums.start, sums.end]), "total": sums.total, "products": sums.products}
    return {name: part.clone() for name, part in parts.items()}


def _sight_from(tensors: Mapping[str, Tensor], prefix: str, seen: int, dim: int, like: Tensor) -> Sight | None:
    """The last queries of one layer, None where its method looks at none."""
    parts = {name.removeprefix(prefix): part for name, part in tensors.items() if name.startswith(prefix)}
    if not parts:
        return None
    queries, sees_from, scaling = parts["queries"], parts["sees_from"], parts["scaling"]
    fits = queries.ndim == 3 and queries.dtype == like.dtype and queries.shape[1] <= seen and queries.shape[2] == dim
    fits = fits and sees_from.shape == queries.shape[1:2] and sees_from.dtype == torch.int64
    numbers = [parts[name] for name in ("softcap", "scale", "interleaved") if name in parts] + [scaling]
    fits = fits and all(part.numel() == 1 for part in numbers)
    fits = fits and ("sinks" not in parts or parts["sinks"].shape == queries.shape[:1])
    fits = fits and ("frequency" not in parts or (parts["frequency"].ndim == 1 and 2 * len(parts["frequency"]) <= dim))
    _require(fits, "its last queries")
    sums = None
    if "summed" in parts:
        ends, total, products = parts["summed"], parts["total"], parts["products"]
        heads = queries.shape[0]
        fits = total.shape == (heads, dim) and products.shape == (heads, dim, dim) and ends.shape == (2,)
        fits = fits and total.dtype == products.dtype == torch.float64 and ends.dtype == torch.int64
        start, end = ends.tolist() if fits else (0, 0)
        _require(fits and 0 <= start <= end <= seen and seen - queries.shape[1] <= end, "the sums of its queries")
        sums = QuerySums(start, end, total.to(like.device), products.to(like.device))
    rotation = None
    if "frequency" in parts:
        frequency = parts["frequency"].to(like.device)
        rotation = Rotation(frequency, float(parts["scale"]), bool(parts["interleaved"]))
    return Sight(
        step=seen - 1,
        queries=queries.to(like.device),
        sees_from=sees_from.to(like.device),
        scaling=float(scaling),
        softcap=float(parts["softcap"]) if "softcap" in parts else None,
        sinks=parts["sinks"].to(like.device) if "sinks" in parts else None,
        rotation=rotation,
        sums=sums,
    )


def _require(agrees: bool, what: str) -> None:
    if not agrees:
        raise ValueError(f"{what} do not agree with the rest")
