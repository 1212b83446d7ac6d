"""Softmax weights in blocks of query rows: every statistic, map and mass is read off these, and nothing is N x N.

R query heads per KV head · B queries in a block · K positions · C chunks of positions.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.attention.layer import AttentionLayer

__all__ = ["CHUNK", "Block", "Progress", "blocks", "pairs"]

CHUNK = 64
"""Positions whose weights are summed together on the way; blocks start and end at multiples of it."""

_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 26}
"""Weights in a block: on a CPU, what two cores' caches hold."""
_ROWS = {"cpu": (48, 192), "cuda": (64, 2048)}
"""The fewest and the most rows of a block: too few make slow products, many compute much above the diagonal."""

Progress = Callable[[float], None]
"""Is told the share of the work that is done, in (0, 1]."""


@dataclass(frozen=True, eq=False)
class Block:
    """The attention weights of some queries of the heads of one KV head, not yet normalised.

    The weights are `scale * raw`: raw is relative to each row's largest, which is 1.

    Attributes:
        layer: what it is a block of. kv_head: its KV head.
        rows: [B], the queries, ascending. span: the first and the last of them.
        columns: K positions, from a multiple of CHUNK to another; the last may be beyond N.
        raw: [R, B, K] exp(logit - peak), exactly 0 where a query does not see a position.
        logits: [R, B, K] logit - peak; finite everywhere, meaningless where raw is 0.
        peaks: [R, B, C], the largest logit of each chunk. peak: [R, B], each row's.
    """

    layer: AttentionLayer
    kv_head: int
    rows: Int[Tensor, " B"]
    span: tuple[int, int]
    columns: range
    raw: Float[Tensor, "R B K"]
    logits: Float[Tensor, "R B K"]
    peaks: Float[Tensor, "R B C"]
    peak: Float[Tensor, "R B"]

    @property
    def heads(self) -> slice:
        """The query heads that it covers."""
        return slice(self.kv_head * self.layer.group, (self.kv_head + 1) * self.layer.group)

    @property
    def inside(self) -> slice:
        """The columns that are positions, as positions."""
        return slice(self.columns.start, min(self.columns.stop, self.layer.n))

    @cached_property
    def chunk_sums(self) -> Float[Tensor, "R B C"]:
        """Sums of `raw` over chunks of positions."""
        return self.raw.view(*self.raw.shape[:2], -1, CHUNK).sum(dim=-1)

    @cached_property
    def total(self) -> Float[Tensor, "R B"]:
        """Sums of `raw`, at least 1, in float64 from here on."""
        return self.chunk_sums.sum(dim=-1, dtype=torch.float64)

    @cached_property
    def share(self) -> Float[Tensor, "R B"]:
        """What a learned sink leaves for the positions; 1 without one."""
        sinks = self.layer.sinks
        if sinks is None:
            return torch.ones_like(self.total)
        return torch.sigmoid(self.peak.double() + self.total.log() - sinks[self.heads, None].double())

    @cached_property
    def scale(self) -> Float[Tensor, "R B"]:
        """What `raw` has to be multiplied by to be the attention weights."""
        return self.share / self.total

    def find_chunks(self, chunk: Int[Tensor, "cuts B"]) -> Int[Tensor, "R cuts B"]:
        """Where the chosen chunks of each row are; the same in the blocks of all heads for the same rows."""
        heads, length, count = self.raw.shape[0], len(self.rows), self.raw.shape[2] // CHUNK
        row = torch.arange(heads * length, device=chunk.device).view(heads, 1, length) * count
        return row + chunk

    def take_chunks(self, at: Int[Tensor, "*cuts"]) -> Float[Tensor, "*cuts chunk"]:
        """The raw weights of chosen chunks."""
        return self.raw.view(-1, CHUNK).index_select(0, at.flatten()).view(*at.shape, CHUNK)

    def weights(self) -> Float[Tensor, "R B inside"]:
        """The attention weights to the positions `inside`."""
        n = self.inside.stop - self.inside.start
        return self.raw[..., :n] * self.scale[..., None].to(self.raw.dtype)


def blocks(
    layer: AttentionLayer, rows: Int[Tensor, " Q"] | None = None, progress: Progress | None = None
) -> Iterator[Block]:
    """All blocks of the queries `rows` (ascending; all by default): KV head by KV head for the same rows, then the next
    rows. A block is valid until the next one is asked for."""
    rows = torch.arange(layer.n) if rows is None else rows.cpu()
    keys, room = _padded(layer), _Room(layer)
    everything, done = pairs(layer, rows) * layer.n_kv_heads, 0
    for here in _cut(layer, rows):
        stretch = _stretch(layer, here)
        for kv_head in range(layer.n_kv_heads):
            yield _block(layer, keys[kv_head], kv_head, stretch, room)
            done += pairs(layer, here)
            if progress is not None:
                progress(done / everything)


def pairs(layer: AttentionLayer, rows: Int[Tensor, " Q"] | None = None) -> int:
    """Pairs of a query and a position between its interval's ends: what the work is proportional to."""
    starts, ends = layer.intervals
    lengths = ends - starts
    return int((lengths if rows is None else lengths[rows.cpu()]).sum())


def _cut(layer: AttentionLayer, rows: Int[Tensor, " Q"]) -> Iterator[Int[Tensor, " B"]]:
    """Rows in blocks: as many as give about as many weights as a cache holds."""
    kind = "cuda" if layer.queries.device.type == "cuda" else "cpu"
    fewest, most = _ROWS[kind]
    starts, ends = layer.intervals
    at = 0
    while at < len(rows):
        row = rows[at]
        fitting = _ELEMENTS[kind] // max(1, int(ends[row] - starts[row]))
        size = max(1, min(most, max(fewest, fitting)) // layer.group)
        yield rows[at : at + size]
        at += size


def _padded(layer: AttentionLayer) -> Float[Tensor, "G padded D"]:
    """The keys, with zeros up to a multiple of CHUNK."""
    keys = layer.keys.to(layer.dtype)
    return torch.nn.functional.pad(keys, (0, 0, 0, -layer.n % CHUNK)).contiguous()


@dataclass(frozen=True)
class _Stretch:
    """What the blocks of all heads for the same rows share.

    Attributes:
        edges: spans of columns that not all of the rows see. unseen: for each, a mask where it is the same for all
            heads, else None.
    """

    rows: Int[Tensor, " B"]
    span: tuple[int, int]
    columns: range
    edges: list[slice]
    unseen: list[Tensor | None]


def _stretch(layer: AttentionLayer, rows: Int[Tensor, " B"]) -> _Stretch:
    device = layer.queries.device
    starts, ends = (ends[rows] for ends in layer.intervals)
    first = int(starts.min()) // CHUNK * CHUNK
    columns = range(first, -(-int(ends.max()) // CHUNK) * CHUNK)
    left, right = int(starts.max()) - first, int(ends.min()) - first
    whole = layer.has_holes or left >= right
    edges = [slice(0, len(columns))] if whole else [slice(0, left), slice(right, len(columns))]
    edges = [edge for edge in edges if edge.stop > edge.start]
    span = int(rows[0]), int(rows[-1])
    rows = rows.to(device)
    unseen = [None if layer.has_holes else ~layer.visible(0, rows, _positions(columns, edge, device)) for edge in edges]
    return _Stretch(rows, span, columns, edges, unseen)


def _positions(columns: range, edge: slice, device: torch.device) -> Int[Tensor, " E"]:
    return torch.arange(columns.start + edge.start, columns.start + edge.stop, device=device)


def _block(
    layer: AttentionLayer, keys: Float[Tensor, "padded D"], kv_head: int, stretch: _Stretch, room: "_Room"
) -> Block:
    rows, columns, edges = stretch.rows, stretch.columns, stretch.edges
    shape = (layer.group, len(rows), len(columns))
    logits, raw = room.take(shape)
    queries = layer.queries[kv_head * layer.group : (kv_head + 1) * layer.group].index_select(1, rows)
    queries = queries.to(layer.dtype).flatten(0, 1) * layer.scaling
    torch.mm(queries, keys[columns.start : columns.stop].t(), out=logits.view(-1, len(columns)))
    if layer.softcap is not None:
        logits.div_(layer.softcap).tanh_().mul_(layer.softcap)
    if layer.bias is not None:
        inside = torch.arange(columns.start, min(columns.stop, layer.n), device=rows.device)
        bias = layer.block_of_bias(kv_head, rows, inside).to(layer.dtype)
        logits[..., : len(inside)] += bias.clamp(min=torch.finfo(bias.dtype).min / 4)
    unseen = [
        ~layer.visible(kv_head, rows, _positions(columns, edge, rows.device)) if mask is None else mask
        for edge, mask in zip(edges, stretch.unseen, strict=True)
    ]
    for edge, mask in zip(edges, unseen, strict=True):
        logits[..., edge].masked_fill_(mask, torch.finfo(logits.dtype).min / 2)
    peaks = logits.view(*shape[:2], -1, CHUNK).amax(dim=-1)
    peak = peaks.amax(dim=-1)
    # Below this, exp gives denormal numbers: a hundred times slower, and of no weight.
    lowest = 0.92 * math.log(torch.finfo(logits.dtype).tiny)
    logits.sub_(peak[..., None]).clamp_(min=lowest)
    torch.exp(logits, out=raw)
    for edge, mask in zip(edges, unseen, strict=True):
        raw[..., edge].masked_fill_(mask, 0.0)
    return Block(layer, kv_head, rows, stretch.span, columns, raw, logits, peaks, peak)


class _Room:
    """Memory for two blocks of numbers that is used again and again."""

    def __init__(self, layer: AttentionLayer) -> None:
        self._rooms = [layer.queries.new_empty(0, dtype=layer.dtype) for _ in range(2)]

    def take(self, shape: tuple[int, int, int]) -> list[Tensor]:
        """Two tensors of this shape, with anything in them."""
        size = shape[0] * shape[1] * shape[2]
        if self._rooms[0].numel() < size:
            self._rooms = [room.new_empty(size + size // 2) for room in self._rooms]
        return [room[:size].view(shape) for room in self._rooms]
