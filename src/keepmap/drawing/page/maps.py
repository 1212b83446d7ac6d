"""KeepMaps as the page holds them: bits, expiries and scores, packed; and what is left out where that is too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays, packed_flags, packed_floats, packed_numbers

__all__ = ["LARGEST", "PackedMap", "add_maps", "most_held", "packed_map"]

LARGEST = 15_000_000
"""Bytes of a page's arrays; beyond that scores are left out, then when each entry went, then whole maps."""
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
    with_scores, with_times, left = scores <= room, times <= room, list[str]()
    entries: list[dict[str, Any] | None] = []
    for entry in maps:
        room -= _size(entry.held)
        if room < 0 and entries:
            left.append(str(entry.about["label"]))
            entries.append(None)
            continue
        entries.append(
            {
                **entry.about,
                "held": arrays.add(entry.held),
                "alive": arrays.add(entry.alive) if with_times else None,
                "delays": _added(entry.delays, arrays) if with_times else None,
                "scores": _added(entry.scores, arrays) if with_scores and entry.scores is not None else None,
            }
        )
    if left:
        return entries, f"To keep this file small, the maps of {', '.join(left)} are left out, and scores and times."
    if not with_times:
        return entries, "To keep this file small, scores and the queries at which entries went are left out."
    return entries, "" if with_scores else "To keep this file small, scores are left out."


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
