"""Everything that a profile says about one layer, read off blocks of its weights: exact, with O(N) memory.

H query head · N positions · Q queries · R heads and B queries of a block · K positions · C chunks.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.attention.blocks import CHUNK, WeightBlock, blocks
from keepmap.attention.layer import AttentionLayer, Values
from keepmap.attention.segments import StretchesOfIntervals, StretchesOfSets, seen_by_intervals
from keepmap.core.progress import Progress
from keepmap.errors import ModelError

__all__ = ["LayerStatistics", "attend", "layer_statistics"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerStatistics:
    """One layer. Per query means NaN (-1 for positions, 0 for counts) at queries that are not measured.

    With a learned sink, whose share goes to no position, the weights of a row add up to less than 1. `rows`,
    `received`, `mean`, `std`, `maximum` and the masses are the model's weights as they are; the entropy is that of the
    row divided by its sum. A visible weight below 2e-35 (float64: 8e-284) of its row's largest counts as that.

    Attributes:
        n_visible: int64 [H, N], positions that a query sees.
        received: [H, N], attention that a position receives, per measured query that sees it; NaN if none.
        shares: [H, N], the same over all measured queries: the share of the head's attention that goes there.
        shares_by_age: [H, N], by how many positions lie between (0: the query itself), without the first `n_sink`
            positions and without those that come after a query.
        entropy: [H, N], nats. mean, std, maximum: [H, N], over the visible positions. max_position: int64 [H, N].
        recent_distant: [H, N], mean of the last quarter of the visible positions / mean of the first quarter (a
            quarter of n is max(1, n // 4) positions); NaN below two positions.
        recent_distant_without_sinks: the same with the first `n_sink` positions of the text left out.
        sink_mass, window_mass: [H, N], attention to the first `n_sink` positions, and to the query and the `window` - 1
            positions before it.
        log_sum_exp: [H, N], of the logits and the learned sink: weight = exp(logit - log_sum_exp).
        rows: [H, Q, N], the attention of the queries whose rows are kept; 0 where they do not see.
    """

    n_visible: Int[Tensor, "H N"]
    received: Float[Tensor, "H N"]
    shares: Float[Tensor, "H N"]
    shares_by_age: Float[Tensor, "H N"]
    entropy: Float[Tensor, "H N"]
    mean: Float[Tensor, "H N"]
    std: Float[Tensor, "H N"]
    maximum: Float[Tensor, "H N"]
    max_position: Int[Tensor, "H N"]
    recent_distant: Float[Tensor, "H N"]
    recent_distant_without_sinks: Float[Tensor, "H N"]
    sink_mass: Float[Tensor, "H N"]
    window_mass: Float[Tensor, "H N"]
    log_sum_exp: Float[Tensor, "H N"]
    rows: Float[Tensor, "H Q N"]


def layer_statistics(
    layer: AttentionLayer,
    queries: Int[Tensor, " M"],
    kept_rows: Int[Tensor, " Q"],
    *,
    n_sink: int,
    window: int,
    values: Values | None = None,
    progress: Progress | None = None,
) -> tuple[LayerStatistics, Float[Tensor, "H N Dv"] | None]:
    """The statistics over `queries` (ascending), the rows of `kept_rows` (some of them), and the layer's output.

    Args:
        values: with these, the layer's output for `queries` comes for one more product.

    Raises:
        ModelError: weights that are not finite, or a query that sees nothing.
    """
    heads, n = layer.n_heads, layer.n
    device = layer.queries.device
    measured = _empty(heads, n, len(kept_rows), layer.dtype, device)
    received, by_age = (torch.zeros(heads, n, dtype=torch.float64, device=device) for _ in range(2))
    seen_by = torch.zeros(heads, n, dtype=torch.int64, device=device)
    out = None if values is None else values.new_zeros(heads, n, values.shape[2])
    kind = StretchesOfIntervals if layer.ends_at_the_query else StretchesOfSets
    for block in blocks(layer, queries, progress):
        if block.kv_head == 0:
            of_rows = _OfRows(block, kind(block, n_sink, window))
        of_rows.read(block)
        if isinstance(of_rows.stretches, StretchesOfSets):
            seen_by[block.heads, block.inside] += of_rows.stretches.seen_by
        received[block.heads, block.inside] += _column_sums(block)
        _add_ages(by_age[block.heads], block, n_sink)
        _keep_rows(measured.rows, block, kept_rows)
        if out is not None and values is not None:
            out[block.heads, block.index] = _output(block, values)
        if block.kv_head == layer.n_kv_heads - 1:
            for name, value in of_rows.finish(block.columns.start).items():
                kept = getattr(measured, name)
                kept[:, block.index] = value.to(kept.dtype)
    _require_sound(layer, measured, queries)
    if layer.ends_at_the_query:
        seen_by += seen_by_intervals(layer, queries).to(device)
    measured.received.copy_(torch.where(seen_by > 0, received / seen_by, float("nan")))
    measured.shares.copy_(received / len(queries))
    measured.shares_by_age.copy_(by_age / len(queries))
    return LayerStatistics(**{field.name: getattr(measured, field.name).cpu() for field in fields(measured)}), out


def attend(
    layer: AttentionLayer,
    values: Values,
    progress: Progress | None = None,
    look: Callable[[WeightBlock], None] | None = None,
) -> Float[Tensor, "H N Dv"]:
    """The layer's output, softmax(queries keys) values, without its statistics; `look` is shown each block."""
    out = values.new_zeros(layer.n_heads, layer.n, values.shape[2])
    for block in blocks(layer, progress=progress):
        out[block.heads, block.index] = _output(block, values)
        if look is not None:
            look(block)
    return out


def _empty(heads: int, n: int, rows: int, dtype: torch.dtype, device: torch.device) -> LayerStatistics:
    whole = {"n_visible": 0, "max_position": -1}
    measured = {
        field.name: torch.full((heads, n), float("nan"), dtype=dtype, device=device)
        for field in fields(LayerStatistics)
        if field.name not in (*whole, "rows")
    }
    for name, value in whole.items():
        measured[name] = torch.full((heads, n), value, dtype=torch.int64, device=device)
    return LayerStatistics(**measured, rows=torch.zeros(heads, rows, n, dtype=dtype, device=device))


class _OfRows:
    """What is said of each query, gathered head by head for the same queries and worked out for all heads at once."""

    def __init__(self, first: WeightBlock, stretches: StretchesOfIntervals | StretchesOfSets) -> None:
        self.stretches = stretches
        self._sinks = first.layer.sinks
        self._row_starts = first.find_chunks(torch.zeros_like(first.rows)[None])[:, 0]
        self._read: list[tuple[Tensor, ...]] = []

    def read(self, block: WeightBlock) -> None:
        """Note what is needed of one head; the block's logits are used up."""
        self.stretches.read(block)
        norm = torch.linalg.vector_norm(block.raw, dim=-1)
        chunk = block.peaks.argmax(dim=-1)
        position = CHUNK * chunk + block.take_chunks(self._row_starts + chunk).argmax(dim=-1)
        spread = block.logits.mul_(block.raw).sum(dim=-1)
        self._read.append((block.chunk_sums, block.peak, norm, spread, position))

    def finish(self, first: int) -> dict[str, Float[Tensor, "H B"] | Int[Tensor, "H B"]]:
        """Everything, by the names of LayerStatistics; `first` is the blocks' first position."""
        sums, peak, norm, spread, position = (torch.cat(heads) for heads in zip(*self._read, strict=True))
        total, stretches = sums.sum(dim=-1, dtype=torch.float64), self.stretches.finish()
        over_positions = peak + total.log()
        over_all = over_positions
        if self._sinks is not None:
            over_all = torch.logaddexp(over_positions, self._sinks[:, None].double())
        share = (over_positions - over_all).exp()  # what a learned sink leaves for the positions
        count, scale = stretches.count, share / total
        variance = (norm.double() / total).square() / count - 1.0 / count.double().square()
        return {
            "n_visible": count,
            "entropy": (total.log() - spread / total).clamp(min=0),  # -sum p ln p, with logits relative to the peak
            "mean": share / count,
            "std": share * variance.clamp(min=0).sqrt(),
            "maximum": scale,
            "max_position": first + position,
            "log_sum_exp": over_all,
            "recent_distant": stretches.recent_distant,
            "recent_distant_without_sinks": stretches.recent_distant_without_sinks,
            "sink_mass": stretches.sinks * scale,
            "window_mass": stretches.window * scale,
        }


def _keep_rows(rows: Float[Tensor, "H Q N"], block: WeightBlock, kept_rows: Int[Tensor, " Q"]) -> None:
    first, last = block.span
    for index, query in enumerate(kept_rows.tolist()):
        if first <= query <= last:
            at = int((block.rows == query).nonzero())
            rows[block.heads, index, block.inside] = block.raw[:, at, : block.n_inside] * block.scale[:, at, None]


def _output(block: WeightBlock, values: Values) -> Float[Tensor, "R B Dv"]:
    rows = block.raw.flatten(0, 1)[:, : block.n_inside] @ values[block.kv_head, block.inside].to(block.raw.dtype)
    return rows.view(*block.scale.shape, -1).mul_(block.scale[..., None]).to(values.dtype)


def _column_sums(block: WeightBlock) -> Float[Tensor, "R inside"]:
    return torch.bmm(block.scale[:, None], block.raw)[:, 0, : block.n_inside]


def _add_ages(by_age: Float[Tensor, "R N"], block: WeightBlock, n_sink: int) -> None:
    """Add up a block's attention along its diagonals, the sinks left out."""
    first = max(block.inside.start, n_sink)
    weights = block.raw[..., first - block.inside.start : block.n_inside]
    heads, length, width = weights.shape
    if width < 1:
        return
    if not isinstance(block.index, slice):  # sampled queries: few rows
        for at, query in enumerate(block.rows.tolist()):
            _add_newest(by_age, weights[:, at] * block.scale[:, at, None], query - first)
        return
    # Rows are shifted against each other, by a width that is one number longer than what is written: each then lies one
    # further left than the one above it, and a diagonal is a column.
    skewed = weights.new_zeros(heads, length, length + width + 1)
    rows = skewed.view(heads, -1)[:, : length * (length + width)].view(heads, length, length + width)
    rows[..., length:] = weights
    _add_newest(by_age, torch.bmm(block.scale[:, None], skewed)[:, 0, 1:], block.span[1] - first)


def _add_newest(by_age: Float[Tensor, "R N"], oldest_first: Float[Tensor, "R K"], oldest: int) -> None:
    """Add sums whose ages fall from `oldest` by one each; ages below 0 are of positions after the query."""
    count = min(oldest + 1, oldest_first.shape[1])
    if count > 0:
        by_age[:, oldest + 1 - count : oldest + 1] += oldest_first[:, :count].flip(-1)


def _require_sound(layer: AttentionLayer, measured: LayerStatistics, queries: Tensor) -> None:
    rows = queries.to(measured.n_visible.device)
    empty = (measured.n_visible[:, rows] == 0).any(dim=0)
    if bool(empty.any()):
        raise ModelError(f"layer {layer.layer}: query {int(queries[int(empty.nonzero()[0])])} sees no position at all")
    if not bool(torch.isfinite(measured.log_sum_exp[:, rows]).all()):
        raise ModelError(
            f"layer {layer.layer}: its attention is NaN or infinite: the model's weights are damaged, or its numbers "
            "overflow; try dtype=float32"
        )
