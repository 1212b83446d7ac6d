"""What is asked of the weights after the fact, computed again from the captured queries and keys: maps and masses.

H query head · N positions · S positions of a set.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.attention.blocks import blocks
from keepmap.attention.layer import AttentionLayer

__all__ = ["AttentionMap", "attention_map", "mass_in", "mass_kept"]

_LOGITS = 1 << 22


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The N x N attention of one head, aggregated into cells and never sampled.

    Attributes:
        mean, maximum: float32 or float64 [cells, cells], over all pairs (query, position) of a cell; row 0 is the
            first queries. Pairs that a query does not see count as 0.
        hidden: bool [cells, cells], of which no query sees any position, in the model as it is without eviction.
        edges: int64 [cells + 1], cell c holds the positions edges[c] .. edges[c + 1] - 1, of queries and keys alike.
    """

    mean: Float[np.ndarray, "cells cells"]
    maximum: Float[np.ndarray, "cells cells"]
    hidden: Bool[np.ndarray, "cells cells"]
    edges: Int[np.ndarray, " cells_1"]


def attention_map(layer: AttentionLayer, size: int) -> AttentionMap:
    """The map of a layer with one head, in min(size, N) cells each way whose sizes differ by at most one."""
    assert layer.n_heads == 1
    cells = min(size, layer.n)
    edges = np.arange(cells + 1) * layer.n // cells
    total, most = np.zeros((cells, cells)), np.zeros((cells, cells))
    for block in blocks(layer):
        weights = block.weights()[0].cpu().numpy()
        rows = block.rows.cpu().numpy()
        first = int(np.searchsorted(edges, block.inside.start, side="right")) - 1
        inner = edges[(edges > block.inside.start) & (edges < block.inside.stop)] - block.inside.start
        starts = np.concatenate([[0], inner])
        across = slice(first, first + len(starts))
        cell = np.searchsorted(edges, rows, side="right") - 1
        np.add.at(total[:, across], cell, np.add.reduceat(weights, starts, axis=1, dtype=np.float64))
        np.maximum.at(most[:, across], cell, np.maximum.reduceat(weights, starts, axis=1))
    sizes = np.diff(edges)
    kind = np.float64 if layer.dtype == torch.float64 else np.float32
    return AttentionMap((total / np.outer(sizes, sizes)).astype(kind), most.astype(kind), _hidden(layer, edges), edges)


def mass_in(
    layer: AttentionLayer,
    log_sum_exp: Float[Tensor, "H N"],
    queries: Int[Tensor, " Q"],
    positions: Int[Tensor, " S"],
) -> Float[Tensor, "H N"]:
    """The attention of each of the queries to a set of positions, in O(Q S); NaN at other queries."""
    device = layer.queries.device
    positions, log_sum_exp = positions.to(device), log_sum_exp.to(device)
    mass = torch.full((layer.n_heads, layer.n), float("nan"), dtype=layer.dtype, device=device)
    step = max(1, _LOGITS // max(1, len(positions) * layer.group))
    for kv_head in range(layer.n_kv_heads):
        heads = slice(kv_head * layer.group, (kv_head + 1) * layer.group)
        keys = layer.keys[kv_head, positions].to(layer.dtype)
        for rows in queries.to(device).split(step):
            logits = layer.queries[heads, rows].to(layer.dtype) * layer.scaling @ keys.t()
            if layer.softcap is not None:
                logits = layer.softcap * torch.tanh(logits / layer.softcap)
            if layer.bias is not None:
                logits = logits + layer.block_of_bias(kv_head, rows, positions)
            seen = layer.visible(kv_head, rows, positions)
            weights = torch.where(seen, (logits - log_sum_exp[heads, rows, None]).exp(), 0.0)
            mass[heads, rows] = weights.sum(dim=-1, dtype=torch.float64).to(mass.dtype)
    return mass.cpu()


def mass_kept(layer: AttentionLayer, expires: Int[Tensor, "G N"], queries: Int[Tensor, " Q"]) -> Float[Tensor, "H N"]:
    """The attention of each of the queries to what `expires` says it would still see; NaN at other queries."""
    expires = expires.to(layer.queries.device)
    mass = torch.full((layer.n_heads, layer.n), float("nan"), dtype=layer.dtype, device=expires.device)
    kept = replace(layer, expires=expires)
    for block in blocks(layer, queries):
        positions = torch.arange(block.inside.start, block.inside.stop, device=expires.device)
        seen = kept.visible(block.kv_head, block.rows, positions)
        weights = torch.where(seen, block.raw[..., : len(positions)], 0.0).sum(dim=-1, dtype=torch.float64)
        mass[block.heads, block.index] = (weights * block.scale).to(mass.dtype)
    return mass.cpu()


def _hidden(layer: AttentionLayer, edges: Int[np.ndarray, " cells_1"]) -> Bool[np.ndarray, "cells cells"]:
    """Cells of which no query sees any position, in the model as it is without eviction."""
    cells, n = len(edges) - 1, layer.n
    seen = np.zeros((cells, cells), dtype=bool)
    if layer.bias is not None:  # a mask of its own, [N, N], which somebody held already
        whole = replace(layer, expires=None)
        columns = torch.arange(n, device=layer.keys.device)
        for row, (start, stop) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
            visible = whole.visible(0, columns[start:stop], columns).cpu().numpy()
            any_row = visible[0].any(axis=0)
            seen[row] = np.logical_or.reduceat(any_row, edges[:-1])
        return ~seen
    starts, ends = (side.numpy() for side in layer.intervals)
    some = ends > starts
    rows = np.searchsorted(edges, np.arange(n)[some], side="right") - 1
    change = np.zeros((cells, cells + 1), dtype=np.int64)
    np.add.at(change, (rows, np.searchsorted(edges, starts[some], side="right") - 1), 1)
    np.add.at(change, (rows, np.searchsorted(edges, ends[some] - 1, side="right")), -1)
    return change[:, :-1].cumsum(axis=1) == 0
