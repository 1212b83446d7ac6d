"""A profile on the page: a number per layer and head, where attention goes, and what of it an eviction would lose.

L layers · H query heads · N positions · C columns of the picture, each of one position or several.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.attention import AttentionProfile
from keepmap.core.files import plain
from keepmap.core.keep_map import KeepMap
from keepmap.core.labels import model_label
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.values.raster import raster
from keepmap.drawing.page.values.shown import Shown, added_floats, kept_about, table_of, that_needs

__all__ = ["shown_profile"]

COLUMNS = 512
"""Of pictures over positions; longer contexts have several positions in a column, and the page says so."""
CELLS = 1_200_000
"""Of the maps of all heads together."""
WORK = 200_000_000
"""Pairs of a query and a position, over all heads, that are worth computing again for the maps."""


def shown_profile(
    profile: AttentionProfile,
    arrays: Arrays,
    folder: str | None,
    evicted: Mapping[str, KeepMap],
    elsewhere: Mapping[str, KeepMap],
) -> Shown:
    """What the page shows of a profile.

    Args:
        evicted: by label, what methods kept of the same context; shown as maps, too.
        elsewhere: the same, whose maps are shown elsewhere.
    """
    layers, heads, n = profile.shape
    columns = min(n, COLUMNS)
    edges = np.arange(columns + 1) * n // columns
    query = int(profile.queries.max()) if len(profile.queries) else None
    last = profile.measured[-1]
    part: dict[str, Any] = {
        "layers": list(profile.layers),
        "heads": list(profile.heads),
        "kv_heads": list(profile.kv_heads),
        "n": n,
        "edges": edges.tolist(),
        "scope": profile.scope,
        "measures": _measures(profile),
        "shares": _summed(profile.shares.double().numpy(), edges, arrays),
        "received": _summed(profile.received.double().numpy(), edges, arrays, np.diff(edges)),
        "map": _maps(profile, arrays),
        "row": None,
        "evicted": [],
    }
    if query is not None:
        row = profile.rows[:, :, int(profile.queries.argmax())].double().numpy()
        part["row"] = {"query": query, "of": _summed(row, edges, arrays)}
        part["evicted"] = [
            {"label": label, **_lost(profile, row, keep_map, query, edges, arrays)}
            for label, keep_map in {**elsewhere, **evicted}.items()
            if _fits(profile, keep_map)
        ]
    label = model_label(profile.info.get("model"))
    entropy, sinks = profile.normalised_entropy[..., last], profile.sink_mass[..., last]
    parts: dict[str, Any] = {"attention": part}
    if profile.landmarks is not None:
        parts["agent"] = {"raster": _raster(profile)}
    return Shown(
        caption=f"{label}: {layers} layers × {heads} heads × {n:,} positions, {profile.scope}",
        verdict=_verdict(profile, int(last), entropy[~entropy.isnan()], sinks),
        model=label,
        python=(
            *that_needs("profile", "AttentionProfile.load", folder, "profile.save(path)"),
            "profile.entropy  # [layers, heads, queries]",
        ),
        settings={"n_sink": profile.n_sink, "window": profile.window, **profile.info},
        table=_table(profile),
        pieces=profile.labels or () if profile.landmarks is None else (),
        keep_maps=[
            (keep_map, {**kept_about(keep_map)[1], "key": f"map{number}", "label": label})
            for number, (label, keep_map) in enumerate(evicted.items())
        ],
        parts=parts,
    )


def _verdict(profile: AttentionProfile, last: int, entropy: Tensor, sinks: Tensor) -> str:
    """How spread out attention is and how much of it goes to sinks; `entropy` is empty at the first position."""
    to_sinks = f"{float(sinks.mean()):.0%} of it goes to the first {profile.n_sink} positions"
    if not len(entropy):
        return f"At query {last:,}, attention sees one position alone."
    return (
        f"At query {last:,}, attention is {float(entropy.mean()):.0%} as spread out as it could be, {to_sinks}; the "
        f"sharpest head has {float(entropy.min()):.0%}, the most sink-bound {float(sinks.max()):.0%}."
    )


def _measures(profile: AttentionProfile) -> list[dict[str, Any]]:
    """Of each measure a number per layer and head, the mean over the measured queries."""
    at = profile.measured
    measures = [
        ("entropy / ln n", "1 is uniform at any length, 0 is one position", profile.normalised_entropy, "number"),
        ("sink mass", f"share of the attention to the first {profile.n_sink} positions", profile.sink_mass, "share"),
        ("window mass", f"share to the last {profile.window} positions", profile.window_mass, "share"),
        ("effective positions", "exp(entropy): so many, if they shared alike", profile.effective_positions, "number"),
    ]
    return [
        {"title": title, "about": about, "kind": kind, "values": _rounded(values[..., at].nanmean(-1).double().numpy())}
        for title, about, values, kind in measures
    ]


def _rounded(values: Float[np.ndarray, "L H"]) -> Any:
    return plain(np.round(values, 4))


def _summed(
    values: Float[np.ndarray, "L H N"],
    edges: Int[np.ndarray, " C1"],
    arrays: Arrays,
    sizes: Int[np.ndarray, " C"] | int = 1,
) -> dict[str, Any]:
    """Of each column the sum of its positions, or with their number the mean."""
    return added_floats(np.add.reduceat(np.nan_to_num(values), edges[:-1], axis=2) / sizes, arrays)


def _maps(profile: AttentionProfile, arrays: Arrays) -> dict[str, Any] | None:
    """The N x N attention of every head, in cells of the largest; None where it would cost too much to compute."""
    layers, heads, n = profile.shape
    if profile.captured is None or layers * heads * n * n > WORK:
        return None
    cells = min(n, 128, int((CELLS / (layers * heads)) ** 0.5))
    maps = [profile.map(layer, head, cells).maximum for layer in profile.layers for head in profile.heads]
    return {"cells": cells, "largest": added_floats(np.stack(maps), arrays)}


def _fits(profile: AttentionProfile, keep_map: KeepMap) -> bool:
    layers, kv_heads, n = keep_map.shape
    return n == profile.shape[2] and max(profile.layers) < layers and max(profile.kv_heads) < kv_heads


def _lost(
    profile: AttentionProfile,
    row: Float[np.ndarray, "L H N"],
    keep_map: KeepMap,
    query: int,
    edges: Int[np.ndarray, " C1"],
    arrays: Arrays,
) -> dict[str, Any]:
    """Of one query's attention, what goes to entries that the map no longer holds at it."""
    gone = (keep_map.expires <= query).numpy()[np.ix_(profile.layers, profile.kv_heads)]
    lost = np.where(gone, row, 0.0)
    return {"of": _summed(lost, edges, arrays), "share": _rounded(lost.sum(axis=2))}


def _raster(profile: AttentionProfile) -> dict[str, Any]:
    """The transitions of an agent's context, with the attention of its query to each, a mean over layers and heads."""
    assert profile.landmarks is not None
    marks, last = profile.landmarks, profile.shape[2] - 1
    at = (profile.queries == last).nonzero()
    attention = profile.rows[:, :, int(at[0])].mean((0, 1))[:last].tolist() if len(at) else ()
    return raster(marks.episodes[:last], marks.steps[:last], marks.rewards[:last], attention=attention)


def _table(profile: AttentionProfile) -> dict[str, Any]:
    at = profile.measured
    columns = [
        ("layer", "", "whole"),
        ("entropy / ln n", "1 is uniform at any length", "number"),
        ("effective positions", "exp(entropy)", "number"),
        ("sink mass", f"share to the first {profile.n_sink} positions", "share"),
        ("window mass", f"share to the last {profile.window} positions", "share"),
    ]
    values = (profile.normalised_entropy, profile.effective_positions, profile.sink_mass, profile.window_mass)
    means = [value[..., at].double().nanmean((1, 2)).tolist() for value in values]
    rows = [[layer, *(column[row] for column in means)] for row, layer in enumerate(profile.layers)]
    return table_of(f"Means over heads and {profile.scope}", columns, rows)
