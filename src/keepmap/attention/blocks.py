"""Softmax weights in blocks of query rows: every statistic, map and mass is read off these, and nothing is N x N.

R query heads per KV head · B queries in a block · K positions · C chunks of positions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.attention.layer import AttentionLayer
from keepmap.core.progress import Progress

__all__ = ["BLOCK_ROWS", "BLOCK_WEIGHTS", "CHUNK", "WeightBlock", "blocks", "pairs"]

CHUNK = 64
"""Positions whose weights are summed together on the way; blocks start and end at multiples of it."""

BLOCK_WEIGHTS = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Weights in a block: on a CPU, what a core's cache holds."""
BLOCK_ROWS = {"cpu": (64, 512), "cuda": (64, 2048)}
"""The fewest and the most rows of a block: too few make slow products, many compute much above the diagonal."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightBlock:
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

    @property
    def n_inside(self) -> int:
        """How many of the columns are positions."""
        return min(self.columns.stop, self.layer.n) - self.columns.start

    @property
    def index(self) -> "slice | Tensor":
        """The queries as an index: a slice where they follow each other."""
        return _index(self.rows, self.span)

    @cached_property
    def chunk_sums(self) -> Float[Tensor, "R B C"]:
        """Sums of `raw` over chunks of positions."""
        return self.raw.view(*self.raw.shape[:2], -1, CHUNK).sum(dim=-1)

    @cached_property
    def total(self) -> Float[Tensor, "R B"]:
        """Sums of `raw`, at least 1."""
        return self.chunk_sums.sum(dim=-1)

    @cached_property
    def scale(self) -> Float[Tensor, "R B"]:
        """What `raw` has to be multiplied by to be the attention weights."""
        sinks = self.layer.sinks
        if sinks is None:
            return self.total.reciprocal()
        # What the learned sink leaves for the positions.
        return torch.sigmoid(self.peak + self.total.log() - sinks[self.heads, None]) / self.total

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
        return self.raw[..., : self.n_inside] * self.scale[..., None]


def blocks(
    layer: AttentionLayer, rows: Int[Tensor, " Q"] | None = None, progress: Progress | None = None
) -> Iterator[WeightBlock]:
    """All blocks of the queries `rows` (ascending; all by default): KV head by KV head for the same rows, then the next
    rows. A block is valid until the next one is asked for."""
    rows = torch.arange(layer.n) if rows is None else rows.cpu()
    room = _Room(layer)
    everything, done = pairs(layer, rows) * layer.n_kv_heads, 0
    for here in _cut(layer, rows):
        stretch = _stretch(layer, here)
        for kv_head in range(layer.n_kv_heads):
            yield _block(layer, kv_head, stretch, room)
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
    fewest, most = BLOCK_ROWS[kind]
    starts, ends = layer.intervals
    at = 0
    while at < len(rows):
        row = rows[at]
        fitting = BLOCK_WEIGHTS[kind] // max(1, int(ends[row] - starts[row]))
        size = max(1, min(most, max(fewest, fitting)) // layer.group)
        yield rows[at : at + size]
        at += size


def _index(rows: Int[Tensor, " B"], span: tuple[int, int]) -> "slice | Tensor":
    return slice(span[0], span[1] + 1) if span[1] - span[0] == len(rows) - 1 else rows


@dataclass(frozen=True)
class _Edge:
    """Columns that not all queries of a block see: a factor of 0 or 1, and what is added to the logits."""

    span: slice
    seen: Float[Tensor, "heads B E"]
    penalty: Float[Tensor, "heads B E"]


@dataclass(frozen=True)
class _Stretch:
    """What the blocks of all heads for the same rows share; `edges` is None where heads see different positions."""

    rows: Int[Tensor, " B"]
    span: tuple[int, int]
    columns: range
    edges: list[_Edge] | None


def _stretch(layer: AttentionLayer, rows: Int[Tensor, " B"]) -> _Stretch:
    starts, ends = (ends[rows] for ends in layer.intervals)
    first = int(starts.min()) // CHUNK * CHUNK
    columns = range(first, -(-int(ends.max()) // CHUNK) * CHUNK)
    span = int(rows[0]), int(rows[-1])
    rows = rows.to(layer.queries.device)
    if layer.has_holes:
        return _Stretch(rows, span, columns, None)
    left, right = int(starts.max()) - first, int(ends.min()) - first
    spans = [slice(0, len(columns))] if left >= right else [slice(0, left), slice(right, len(columns))]
    edges = [_edge(layer, 0, rows, columns, span) for span in spans if span.stop > span.start]
    return _Stretch(rows, span, columns, edges)


def _edge(layer: AttentionLayer, kv_head: int, rows: Int[Tensor, " B"], columns: range, span: slice) -> _Edge:
    positions = torch.arange(columns.start + span.start, columns.start + span.stop, device=rows.device)
    seen = layer.visible(kv_head, rows, positions).to(layer.dtype)
    return _Edge(span, seen, (1 - seen) * (torch.finfo(layer.dtype).min / 2))


def _block(layer: AttentionLayer, kv_head: int, stretch: _Stretch, room: "_Room") -> WeightBlock:
    rows, columns = stretch.rows, stretch.columns
    shape = (layer.group, len(rows), len(columns))
    logits, raw = room.take(shape)
    heads = slice(kv_head * layer.group, (kv_head + 1) * layer.group)
    queries = room.queries[heads, _index(rows, stretch.span)].reshape(-1, layer.queries.shape[2])
    torch.mm(queries, room.keys[kv_head, columns.start : columns.stop].t(), out=logits.view(-1, len(columns)))
    if layer.softcap is not None:
        logits.div_(layer.softcap).tanh_().mul_(layer.softcap)
    if layer.bias is not None:
        inside = torch.arange(columns.start, min(columns.stop, layer.n), device=rows.device)
        bias = layer.block_of_bias(kv_head, rows, inside).to(layer.dtype)
        logits[..., : len(inside)] += bias.clamp(min=torch.finfo(bias.dtype).min / 4)
    edges = stretch.edges
    if edges is None:
        edges = [_edge(layer, kv_head, rows, columns, slice(0, len(columns)))]
    for edge in edges:
        logits[..., edge.span].add_(edge.penalty)
    peaks = logits.view(*shape[:2], -1, CHUNK).amax(dim=-1)
    peak = peaks.amax(dim=-1)
    # Below this, exp gives denormal numbers: a hundred times slower, and of no weight.
    lowest = 0.92 * math.log(torch.finfo(logits.dtype).tiny)
    logits.sub_(peak[..., None]).clamp_(min=lowest)
    torch.exp(logits, out=raw)
    for edge in edges:
        raw[..., edge.span].mul_(edge.seen)
    return WeightBlock(
        layer=layer,
        kv_head=kv_head,
        rows=rows,
        span=stretch.span,
        columns=columns,
        raw=raw,
        logits=logits,
        peaks=peaks,
        peak=peak,
    )


class _Room:
    """The layer's queries and keys as products need them, and memory for two blocks that is used again and again."""

    def __init__(self, layer: AttentionLayer) -> None:
        self.queries = layer.queries.to(layer.dtype) * layer.scaling
        self.keys = torch.nn.functional.pad(layer.keys.to(layer.dtype), (0, 0, 0, -layer.n % CHUNK))
        self._rooms = [layer.queries.new_empty(0, dtype=layer.dtype) for _ in range(2)]

    def take(self, shape: tuple[int, int, int]) -> list[Tensor]:
        """Two tensors of this shape, with anything in them."""
        size = shape[0] * shape[1] * shape[2]
        if self._rooms[0].numel() < size:
            self._rooms = [room.new_empty(size + size // 2) for room in self._rooms]
        return [room[:size].view(shape) for room in self._rooms]
