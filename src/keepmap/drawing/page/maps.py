"""KeepMaps as the page holds them: bits, expiries and scores, packed; and what is left out where that is too much.

Scores go first. Then the queries at which entries went are rounded up, method by method, as far as it needs, or left
out where even a few moments of the text are too much; and whole maps at last.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays, packed_flags, packed_floats, packed_numbers

__all__ = ["LARGEST", "PackedMap", "add_maps", "most_held", "packed_map"]

LARGEST = 14_800_000
"""Bytes of a page's arrays, so that all of it stays below 15 MB; beyond that something is left out."""
STEPS = tuple(4**power for power in range(1, 9))
"""What queries are rounded up to, of many, where each of them is too much."""
LEAST_MOMENTS = 16
"""Moments of a text that a rounded query must tell apart to be of use."""
SAMPLE = 200_000
"""Delays that tell how well others pack."""
HOPELESS = 30_000_000
"""Entries whose scores need not be packed to know that they are too much."""

Packed = tuple[bytes, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class PackedMap:
    """One KeepMap, packed.

    Attributes:
        about: what the page knows of it beside its arrays.
        held, alive: a bit per entry: held after the last query, seen by all of them.
        delays: of those that were not, queries from an entry's own to the last that saw it.
        scores: of all entries; None where they would be too many.
    """

    about: Mapping[str, Any]
    held: bytes
    alive: bytes
    delays: Packed
    scores: Packed | None


def packed_map(keep_map: KeepMap, about: Mapping[str, Any]) -> PackedMap:
    """Pack one of them."""
    assert keep_map.held is not None
    n = keep_map.shape[2]
    expires = keep_map.expires.numpy()
    alive = expires >= n
    gone = (expires - np.arange(n) - 1)[~alive]
    return PackedMap(
        about={
            **about,
            "shape": list(keep_map.shape),
            "n_sink": keep_map.n_sink,
            "window": keep_map.window,
            "context_length": keep_map.context_length,
            "threshold": None if keep_map.threshold is None else f"{keep_map.threshold:g}",
        },
        held=packed_flags(keep_map.held.numpy()),
        alive=packed_flags(alive),
        delays=packed_numbers(gone),
        scores=packed_floats(keep_map.scores.numpy()) if expires.size <= HOPELESS else None,
    )


def add_maps(
    maps: Sequence[PackedMap], arrays: Arrays, largest: int = LARGEST
) -> tuple[list[dict[str, Any] | None], str]:
    """Put maps among the arrays of a page; what it says of each (None of one that is left out), and of
    what was left out (empty where nothing was)."""
    room = largest - arrays.size
    masks = sum(_size(entry.held) for entry in maps)
    times = masks + sum(_size(entry.alive) + _size(entry.delays[0]) for entry in maps)
    scores = times + sum(room if entry.scores is None else _size(entry.scores[0]) for entry in maps)
    delays = [entry.delays for entry in maps] if times <= room else _rounded_delays(maps, room - masks)
    entries, left = list[dict[str, Any] | None](), list[str]()
    for entry, of_entry in zip(maps, delays, strict=True):
        room -= _size(entry.held)
        if room < 0 and entries:
            left.append(str(entry.about["label"]))
            entries.append(None)
            continue
        entries.append(
            {
                **entry.about,
                "held": arrays.add(entry.held),
                "alive": None if of_entry is None else arrays.add(entry.alive),
                "delays": None if of_entry is None else _added(of_entry, arrays),
                "scores": _added(entry.scores, arrays) if scores <= room and entry.scores is not None else None,
            }
        )
    return entries, _left_out([entry for entry in entries if entry], left)


def _rounded_delays(maps: Sequence[PackedMap], room: int) -> list[Packed | None]:
    """When entries went, as exactly as there is room for: what packs well first, an equal part of the rest to each."""
    delays: list[Packed | None] = [None] * len(maps)
    order = sorted(range(len(maps)), key=lambda number: len(maps[number].delays[0]) + len(maps[number].alive))
    for waiting, number in enumerate(order):
        entry, part = maps[number], room // (len(maps) - waiting)
        fitting = _fitting(entry, part - _size(entry.alive))
        if fitting is not None:
            delays[number] = fitting
            room -= _size(entry.alive) + _size(fitting[0])
    return delays


def _fitting(entry: PackedMap, room: int) -> Packed | None:
    """The delays of a map in so many bytes, rounded up to the least step that does it; None where none does."""
    packed, about = entry.delays
    if _size(packed) <= room:
        return entry.delays
    if room <= 0:
        return None
    raw = np.frombuffer(zlib.decompress(packed, -15), np.uint8).reshape(about["bytes"], about["n"])
    numbers = np.zeros(about["n"], np.int64)
    for number, plane in enumerate(raw):
        numbers |= plane.astype(np.int64) << (8 * number)
    stride = max(1, about["n"] // SAMPLE)
    for step in STEPS:
        if step * LEAST_MOMENTS > entry.about["shape"][2]:
            return None
        # A part of them tells whether all may fit.
        if _size(packed_numbers(-(-numbers[: about["n"] // stride] // step))[0]) * stride > 1.5 * room:
            continue
        fitting, of = packed_numbers(-(-numbers // step))
        if _size(fitting) <= room:
            return fitting, {**of, "step": step}
    return None


def _left_out(entries: Sequence[Mapping[str, Any]], maps: Sequence[str]) -> str:
    """What a page lacks to stay small, in a sentence; nothing where it has all."""
    parts = [f"the maps of {', '.join(maps)} are left out"] if maps else []
    if any(entry["scores"] is None for entry in entries):
        parts.append("scores are left out")
    without = [str(entry["label"]) for entry in entries if entry["delays"] is None]
    if without:
        of = "" if len(without) == len(entries) else f" for {', '.join(without)}"
        parts.append(f"the queries at which entries went are left out{of}")
    rounded = {str(entry["label"]): entry["delays"]["step"] for entry in entries if "step" in (entry["delays"] or {})}
    if rounded:
        steps = ", ".join(f"{step:,} ({', '.join(names)})" for step, names in _by_value(rounded).items())
        parts.append(f"the queries at which entries went are rounded up to steps of {steps}")
    return f"To keep this file small, {'; '.join(parts)}." if parts else ""


def _by_value(names: Mapping[str, int]) -> dict[int, list[str]]:
    return {value: [name for name, own in names.items() if own == value] for value in sorted(set(names.values()))}


def most_held(keep_map: KeepMap) -> float:
    """The most entries that the cache held after a query, of all its entries.

    >>> import torch
    >>> most_held(KeepMap(torch.tensor([[[4, 2, 4, 4]]]), torch.zeros(1, 1, 4)))
    0.75
    """
    assert keep_map.held is not None
    layers, heads, n = keep_map.shape
    if n == 0:
        return 1.0
    # An entry comes with its own query, and is gone after the query before its expiry, or after the last one.
    gone_after = np.minimum(keep_map.expires.numpy() - 1, n - 1)[~keep_map.held.numpy()]
    held = np.cumsum(layers * heads - np.bincount(gone_after, minlength=n))
    return float(held.max() / (layers * heads * n))


def _added(packed: Packed, arrays: Arrays) -> dict[str, Any]:
    return {"id": arrays.add(packed[0]), **packed[1]}


def _size(packed: bytes) -> int:
    return len(packed) * 4 // 3
