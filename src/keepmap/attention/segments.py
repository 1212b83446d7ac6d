"""How much attention goes to stretches of what a query sees: the first and last quarter, the sinks, the window.

R heads and B queries of a block · K positions · C chunks.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.attention.blocks import CHUNK, WeightBlock
from keepmap.attention.layer import AttentionLayer

__all__ = ["Stretches", "StretchesOfIntervals", "StretchesOfSets", "seen_by_intervals"]


@dataclass(frozen=True)
class Stretches:
    """For some heads and queries, of weights that are not normalised.

    Attributes:
        count: [H, B], positions seen.
        recent_distant: [H, B], mean of the last quarter of what is seen / mean of the first; NaN below two positions.
        recent_distant_without_sinks: the same without the sinks.
        sinks, window: [H, B], sums over the sinks and the window.
    """

    count: Int[Tensor, "H B"]
    recent_distant: Float[Tensor, "H B"]
    recent_distant_without_sinks: Float[Tensor, "H B"]
    sinks: Float[Tensor, "H B"]
    window: Float[Tensor, "H B"]


class StretchesOfIntervals:
    """Where each query sees an interval that ends at itself: from sums of chunks, and the chunks that stretches end in.

    Made for the queries of a block; `read` takes what is needed of each head's block, `finish` of all of them.
    """

    def __init__(self, first: WeightBlock, n_sink: int, window: int) -> None:
        at, layer, rows = first.columns.start, first.layer, first.rows
        start, end = layer.sees_from[rows] - at, layer.sees_until[rows] - at
        # Columns before this one are sinks; a row that starts later sees none of them.
        self._n_sink = min(max(0, n_sink - at), len(first.columns))
        after_sinks = torch.minimum(start.clamp(min=self._n_sink), end)
        quarter, other = (((end - left) // 4).clamp(min=1) for left in (start, after_sinks))
        self._count, self._n_left = end - start, end - after_sinks
        # Each stretch is whole chunks and a part of one more: sums of positive numbers all, since a difference would
        # lose a small mass beside a large one.
        quarter_end, other_end = start + quarter, after_sinks + other
        recent, other_recent = end - quarter, torch.maximum(end - other, start)
        window_start = torch.maximum(end - window, start)
        # (in which chunk, from, until): the parts, in the order of `finish`.
        pieces = (
            (quarter_end, start, quarter_end),
            (recent, recent, end),
            (other_recent, other_recent, end),
            (window_start, window_start, end),
            (other_end, after_sinks, other_end),
        )
        where, from_, until = (torch.stack(side) for side in zip(*pieces, strict=True))
        last = len(first.columns) // CHUNK - 1
        self._chunk = (where // CHUNK).clamp(0, last)
        column = self._chunk[..., None] * CHUNK + torch.arange(CHUNK, device=rows.device)
        self._wanted = ((column >= from_[..., None]) & (column < until[..., None])).to(first.raw.dtype)
        self._at = first.find_chunks(self._chunk)
        self._of_sinks = min(self._n_sink // CHUNK, last)
        of_sinks = torch.arange(CHUNK, device=rows.device) < self._n_sink - self._of_sinks * CHUNK
        self._split = torch.stack([of_sinks, ~of_sinks], dim=1).to(first.raw.dtype)
        self._apart = (self._chunk[4] > self._of_sinks) & (start < self._n_sink)
        self._has_sinks = start < self._n_sink
        self._read: list[tuple[Tensor, ...]] = []

    def read(self, block: WeightBlock) -> None:
        """Read the sums that `finish` needs from the block of one KV head."""
        parts = block.take_chunks(self._at).mul_(self._wanted).sum(dim=-1)
        split = block.raw[..., self._of_sinks * CHUNK : (self._of_sinks + 1) * CHUNK] @ self._split
        self._read.append((block.chunk_sums, parts, split))

    def finish(self) -> Stretches:
        """Put the heads together: chunks before, after or between, and the parts of chunks."""
        sums, parts, split = (torch.cat(heads).double() for heads in zip(*self._read, strict=True))
        sinks = split[..., 0] + sums[..., : self._of_sinks].sum(dim=-1)
        beyond = torch.arange(sums.shape[-1], device=sums.device) > self._of_sinks
        before, between, after = _before(sums), _before(sums * beyond), _before(sums.flip(-1)).flip(-1)
        at = self._chunk.expand(sums.shape[0], *self._chunk.shape)

        def whole(index: int, chunks: Tensor) -> Tensor:
            return parts[:, index] + chunks.gather(2, at[:, index, :, None])[..., 0]

        distant, recent, other_recent, window = whole(0, before), whole(1, after), whole(2, after), whole(3, after)
        other_distant = torch.where(self._has_sinks, whole(4, between) + split[..., 1] * self._apart, distant)
        with_sinks = torch.where(self._count > 1, recent / distant, float("nan"))
        without = torch.where(self._n_left > 1, other_recent / other_distant, float("nan"))
        return Stretches(self._count.expand(sinks.shape), with_sinks, without, sinks, window)


def _before(sums: Float[Tensor, "H B C"]) -> Float[Tensor, "H B C"]:
    """What lies in the chunks before each."""
    return torch.nn.functional.pad(sums.cumsum(-1)[..., :-1], (1, 0))


class StretchesOfSets:
    """Where what a query sees may be any set: by each position's rank in it."""

    def __init__(self, first: WeightBlock, n_sink: int, window: int) -> None:
        columns = torch.arange(first.columns.start, first.columns.stop, device=first.rows.device)
        self._columns = columns
        self._sinks = columns < n_sink
        self._window = (columns > first.rows[:, None] - window) & (columns <= first.rows[:, None])
        self._parts: list[tuple[Tensor, ...]] = []
        self.seen_by: Tensor = torch.empty(0)

    def read(self, block: WeightBlock) -> None:
        """Measure the stretches of one KV head's block."""
        visible = block.layer.visible(block.kv_head, block.rows, self._columns)
        inside = block.inside
        self.seen_by = visible.sum(dim=-2)[:, : inside.stop - inside.start]
        sinks, window = self._sinks.expand_as(visible), self._window.expand_as(visible)
        count = visible.sum(dim=-1).expand(block.raw.shape[:2])
        ratios = _ratio(block.raw, visible), _ratio(block.raw, visible & ~sinks)
        self._parts.append((count, *ratios, _mass(block.raw, sinks), _mass(block.raw, window)))

    def finish(self) -> Stretches:
        """The measured stretches of all heads."""
        return Stretches(*(torch.cat(heads) for heads in zip(*self._parts, strict=True)))


def _ratio(raw: Float[Tensor, "R B K"], visible: Tensor) -> Float[Tensor, "R B"]:
    rank, count = visible.cumsum(dim=-1), visible.sum(dim=-1, keepdim=True)
    quarter = (count // 4).clamp(min=1)
    recent, distant = _mass(raw, visible & (rank > count - quarter)), _mass(raw, visible & (rank <= quarter))
    return torch.where(count[..., 0] > 1, recent / distant, float("nan"))


def _mass(raw: Float[Tensor, "R B K"], wanted: Tensor) -> Float[Tensor, "R B"]:
    return torch.where(wanted, raw, 0.0).sum(dim=-1, dtype=torch.float64)


def seen_by_intervals(layer: AttentionLayer, queries: Int[Tensor, " Q"]) -> Int[Tensor, " N"]:
    """How many of the queries see each position."""
    starts, ends = (ends[queries.cpu()] for ends in layer.intervals)
    ones = torch.ones_like(starts)
    changes = torch.zeros(layer.n + 1, dtype=torch.int64).index_add_(0, starts, ones).index_add_(0, ends, -ones)
    return changes.cumsum(0)[:-1]
