"""Decisions by received attention: the steps of one layer, one after the other.

Whether a position goes depends on the attention it received from earlier queries, and that on what had gone by then:
within a layer there is no way around the order. Products of queries and keys are computed block by block where the
model is; the steps are O(K) sums on the CPU, compiled. Where the layer's attention is computed in the same precision on
the CPU too, it falls off on the way: the weights are there.

H query head · G KV head · R = H / G · N positions · S queries in a block · K columns: the keys alive when the block
starts, then its own.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.kv.budgets import Budget, Shares
from keepmap.kv.choosing import Expiries, LayerRule, Protection, Threshold, decisions
from keepmap.kv.eviction.checks import nan_score
from keepmap.kv.eviction.products import product_by_head
from keepmap.kv.method import Received
from keepmap.kv.passes import LayerCall
from keepmap.kv.sharing import lowest

__all__ = ["Past", "Scan", "State", "advance", "scan", "schedule"]

_BLOCK_BYTES = 1 << 27
_LONGEST_BLOCK = 128


@dataclass(frozen=True, eq=False)
class Scan:
    """What a method and a rule decide in one layer.

    Attributes:
        choice: what was decided. scores: [G, N], what decided it.
        output: [H, N, Dv], the layer's attention under it; None where it is computed elsewhere (half precision, CUDA).
    """

    choice: Expiries
    scores: Float[Tensor, "G N"]
    output: Float[Tensor, "H N Dv"] | None


@dataclass(frozen=True, eq=False)
class Past:
    """What a cache holds of a layer when new queries come: its rows, those of the new positions among them.

    Attributes:
        keys, values: [G, K, D], each head's rows, in any order.
        rows: [G, N], in which row a position is; of one that is gone, any.
        first: the position of the first new query.
    """

    keys: Float[Tensor, "G K D"]
    values: Float[Tensor, "G K Dv"]
    rows: np.ndarray
    first: int


class State:
    """Per KV head and position [G, N]: attention received, what was decided and by which score."""

    def __init__(self, heads: int, n: int, n_sink: int) -> None:
        self.total = np.zeros((heads, n))
        self.scores = np.zeros((heads, n))
        self.expires = np.full((heads, n), n + 1)
        """N + 1 for what is held; N for what goes after the last query."""
        self.left = n_sink
        """Positions before this one have left the window, or are sinks."""

    def held(self) -> np.ndarray:
        """Bool [G, N]: what has not been dropped."""
        return self.expires > self.expires.shape[1]

    def alive_before(self, start: int) -> int:
        """Of the positions before `start`, how many the fullest head holds."""
        return int(self.held()[:, :start].sum(axis=1).max())


@dataclass(frozen=True, kw_only=True)
class _Layer:
    call: LayerCall
    method: Received
    rule: LayerRule
    protection: Protection
    chunk_size: int
    state: State
    past: Past | None
    output: Float[Tensor, "H Q Dv"] | None
    ends: bool

    @property
    def first(self) -> int:
        """The position of the first query."""
        return 0 if self.past is None else self.past.first

    @cached_property
    def schedule(self) -> tuple[np.ndarray, np.ndarray]:
        """What is decided after each query."""
        heads, n = self.state.total.shape
        return schedule(n, self.rule, self.protection, self.chunk_size, heads, self.ends)

    @cached_property
    def safe(self) -> np.ndarray:
        """[N], how many of its best each head keeps where the heads share; -1 where they do not."""
        leaves, _ = self.schedule
        if not isinstance(self.rule, Shares) or not self.rule.is_pooled:
            return np.full(len(leaves), -1)
        ends = range(1, len(leaves) + 1)
        return np.array([self.rule.safe(self.protection.compressible_left(end)) for end in ends], dtype=np.int64)

    def rows(self, positions: np.ndarray) -> Int[Tensor, "G K"]:
        """Where each head's own positions are; of padding, some row."""
        at = positions.clip(min=0)
        if self.past is not None:
            at = np.take_along_axis(self.past.rows, at, axis=1)
        return torch.from_numpy(at).to(self.call.keys.device)

    def gathered(self, which: str, rows: Int[Tensor, "G K"]) -> Float[Tensor, "G K D"]:
        """Each head's keys or values."""
        whole: Tensor = getattr(self.call if self.past is None else self.past, which)
        return torch.stack([of_head.index_select(0, at) for of_head, at in zip(whole, rows, strict=True)])


def scan(
    call: LayerCall,
    method: Received,
    rule: LayerRule,
    protection: Protection,
    chunk_size: int,
    ends: bool = True,
) -> Scan:
    """What `method` and `rule` decide in one layer.

    Args:
        ends: whether the end of the text ends the last chunk.

    Raises:
        ImpossibleResultError: a NaN score; names the method.
    """
    heads, n = call.keys.shape[:2]
    state = State(heads, n, protection.n_sink)
    output = advance(call, method, rule, protection, chunk_size, state, ends=ends)
    final = _scores(method, state.total, n - np.arange(n)[None])
    decided = ~state.held()
    if isinstance(rule, Threshold):
        decided[:, protection.n_sink : state.left] = True
    scores = torch.from_numpy(np.where(decided, state.scores, final))
    if torch.isnan(scores).any():
        raise nan_score(method.name, call.layer)
    device = call.keys.device
    expires = torch.from_numpy(np.minimum(state.expires, n))
    choice = Expiries(expires.to(device), torch.from_numpy(state.held()).to(device))
    return Scan(choice, scores.to(device), output)


def advance(
    call: LayerCall,
    method: Received,
    rule: LayerRule,
    protection: Protection,
    chunk_size: int,
    state: State,
    past: Past | None = None,
    ends: bool = False,
) -> Float[Tensor, "H Q Dv"] | None:
    """Take the queries of a call one after the other: `state` then says what they decided.

    Args:
        past: where the queries go on with a text, what is held of it.
        ends: whether the text ends with them, and with it the last chunk; else what they do not decide stays open.

    Returns:
        The layer's attention, None where it is computed elsewhere (half precision, CUDA).
    """
    n, new = state.total.shape[1], call.keys.shape[1]
    is_plain = call.keys.device.type == "cpu" and call.keys.element_size() >= 4
    layer = _Layer(
        call=call,
        method=method,
        rule=rule,
        protection=protection,
        chunk_size=chunk_size,
        state=state,
        past=past,
        ends=ends,
        output=call.values.new_empty(call.queries.shape[0], new, call.values.shape[2]) if is_plain else None,
    )
    start = layer.first
    while start < n:
        row = 16 * call.queries.shape[0] * (state.alive_before(start) + _LONGEST_BLOCK)
        stop = min(n, start + max(1, min(_LONGEST_BLOCK, _BLOCK_BYTES // row)))
        _block(layer, start, stop)
        start = stop
    return layer.output


def schedule(
    n: int, rule: LayerRule, protection: Protection, chunk_size: int, heads: int, ends: bool
) -> tuple[np.ndarray, np.ndarray]:
    """After each query: the positions before which all have left the window, 0 where nothing is decided; and [N, G]
    how many each head drops by the budget rule (all of them together where they share), -1 under a threshold."""
    if not isinstance(rule, Shares):
        # What the end of a text does not end is the beginning of a longer one's: a cache asks for it again and again.
        longest = n if ends else 1 << (n - 1).bit_length()
        leaves, drops = _even_schedule(longest, rule, protection, chunk_size, heads, ends)
        return leaves[:n], drops[:n]
    leaves, drops, before = np.zeros(n, dtype=np.int64), np.full((n, heads), -1), 0
    for end, leaving, m in decisions(0, n, protection, chunk_size, ends):
        if leaving > protection.n_sink:
            leaves[end - 1], drops[end - 1], before = leaving, rule.drops(before, m), m
    return leaves, drops


@lru_cache(maxsize=8)
def _even_schedule(
    n: int, rule: Threshold | Budget, protection: Protection, chunk_size: int, heads: int, ends: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The same for every layer and head: such capacities know no scores."""
    leaves, drops = np.zeros(n, dtype=np.int64), np.full((n, heads), -1)
    dropped = 0
    for end, leaving, m in decisions(0, n, protection, chunk_size, ends):
        if leaving <= protection.n_sink:
            continue
        leaves[end - 1] = leaving
        if not isinstance(rule, Threshold):
            drops[end - 1] = max(0, m - dropped - rule.capacity(m))
            dropped += int(drops[end - 1, 0])
    return leaves, drops


def _columns(state: State, start: int, stop: int) -> np.ndarray:
    """[G, K]: the keys of a block, those alive at its start, flush right (-1 is padding), then its own.

    Whatever has not been decided is alive in every head, so that such a position is the same column in all of them.
    """
    alive = [np.flatnonzero(row) for row in state.held()[:, :start]]
    width = max(held.size for held in alive)
    positions = np.full((len(alive), width + stop - start), -1)
    for head, held in enumerate(alive):
        positions[head, width - held.size : width] = held
    positions[:, width:] = np.arange(start, stop)
    return positions


def _block(layer: _Layer, start: int, stop: int) -> None:
    """The queries start..stop-1: their attention, and the decisions that fall after them."""
    from keepmap.kv.eviction.steps import take_steps  # compiles at its first call

    state, method = layer.state, layer.method
    heads = state.total.shape[0]
    positions = _columns(state, start, stop)
    rows = layer.rows(positions)
    logits = _logits(layer, positions, rows, start, stop)
    sinks = _sinks(layer.call, logits)
    most = logits.amax(dim=-1, keepdim=True)
    most = most if sinks is None else torch.maximum(most, sinks)
    weights = (logits - most).exp_().cpu().numpy()
    sink = np.zeros(weights.shape[:3]) if sinks is None else (sinks - most)[..., 0].exp().double().cpu().numpy()
    inverse = np.empty(weights.shape[:3])
    real = positions >= 0
    head = np.arange(heads)[:, None]
    total = np.where(real, state.total[head, positions], 0.0)
    barred = np.where(positions >= layer.protection.n_sink, 0.0, np.inf)
    leaves, drops = layer.schedule
    compiled = method.averages is not None
    row, length = 0, stop - start
    while row < length:
        # What compiled code cannot score is decided here, after each chunk.
        upto = length if compiled else min(length, row + layer.chunk_size - (start + row) % layer.chunk_size)
        done, state.left = take_steps(
            weights,
            sink,
            inverse,
            total,
            positions,
            barred,
            state.expires,
            state.scores,
            leaves if compiled else np.zeros_like(leaves),
            drops,
            layer.safe,
            layer.rule.threshold if isinstance(layer.rule, Threshold) else -np.inf,
            bool(method.averages),
            start,
            row,
            upto,
            state.left,
        )
        if done < upto:
            _anew(layer, weights, sink, logits, positions, done)
        elif not compiled and leaves[start + upto - 1]:
            _decide(layer, weights, total, positions, barred, start, upto)
        row = done
    state.total[np.nonzero(real)[0], positions[real]] = total[real]
    if layer.output is not None:
        _attend(layer, torch.from_numpy(weights), torch.from_numpy(inverse), rows, start, stop)


def _attend(layer: _Layer, weights: Tensor, inverse: Tensor, rows: Tensor, start: int, stop: int) -> None:
    """The block's part of the layer's output."""
    assert layer.output is not None
    heads, group, length, width = weights.shape
    values = layer.gathered("values", rows).to(weights.dtype)
    result = values.new_empty(heads, group * length, values.shape[2])
    product_by_head(weights.view(heads, group * length, width), values, result)
    own = slice(start - layer.first, stop - layer.first)
    grouped = layer.output.view(heads, group, *layer.output.shape[1:])
    grouped[:, :, own] = result.view(heads, group, length, -1) * inverse[..., None].to(weights.dtype)


def _anew(
    layer: _Layer, weights: np.ndarray, sink: np.ndarray, logits: Tensor, positions: np.ndarray, row: int
) -> None:
    """The weights of a row relative to the largest of what is still seen."""
    state = layer.state
    gone = (positions < 0) | ~np.take_along_axis(state.held(), positions, axis=1)
    anew = logits[:, :, row].double().masked_fill(torch.from_numpy(gone).to(logits.device)[:, None], float("-inf"))
    sinks = _sinks(layer.call, anew[:, :, None])
    most = anew.amax(dim=-1, keepdim=True)
    if sinks is not None:
        most = torch.maximum(most, sinks[..., 0])
        sink[:, :, row] = (sinks[..., 0] - most)[..., 0].exp().cpu().numpy()
    weights[:, :, row] = (anew - most).exp().cpu().numpy()


def _decide(
    layer: _Layer,
    weights: np.ndarray,
    total: np.ndarray,
    positions: np.ndarray,
    barred: np.ndarray,
    start: int,
    upto: int,
) -> None:
    """What goes after the row before `upto`, by whatever a method's `score` says."""
    state, rule = layer.state, layer.rule
    end, heads = start + upto, positions.shape[0]
    leaves, _ = layer.schedule
    shift = positions.shape[1] - weights.shape[2] - start
    leaving = int(leaves[end - 1])
    if isinstance(rule, Threshold):
        entered = slice(state.left + shift, leaving + shift)
        scores = _scores(layer.method, total[:, entered], end - positions[:, entered])
        state.scores[np.arange(heads)[:, None], positions[:, entered]] = scores
        at_head, at = np.nonzero(scores < rule.threshold)
        at = at + entered.start
    else:
        upper = leaving + shift
        scores = _scores(layer.method, total[:, :upper], end - positions[:, :upper])
        m = layer.protection.compressible_left(end)
        at_head, at = np.nonzero(lowest(scores, positions[:, :upper], barred[:, :upper] == 0, rule, m))
        state.scores[at_head, positions[at_head, at]] = scores[at_head, at]
    state.expires[at_head, positions[at_head, at]] = end
    barred[at_head, at] = np.inf
    weights[at_head, :, upto:, at] = 0.0
    state.left = leaving


def _scores(method: Received, total: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The method's scores; padding counts more queries than there were, and receives nothing."""
    return method.score(torch.from_numpy(total), torch.from_numpy(queries)).numpy()


def _sinks(call: LayerCall, logits: Tensor) -> Float[Tensor, "G R 1 1"] | None:
    return None if call.sinks is None else call.sinks.to(logits.dtype).view(logits.shape[0], -1, 1, 1)


def _logits(
    layer: _Layer, positions: np.ndarray, rows: Int[Tensor, "G K"], start: int, stop: int
) -> Float[Tensor, "G R S K"]:
    """Query-key products of a block, capped, with -inf where the model's own rules hide a key, and at padding."""
    call, block = layer.call, slice(start - layer.first, stop - layer.first)
    heads, _, dim = call.keys.shape
    at = torch.from_numpy(positions).to(call.keys.device)
    wide = torch.promote_types(call.keys.dtype, torch.float32)
    keys = layer.gathered("keys", rows).to(wide)
    queries = (call.queries[:, block].to(wide) * call.scaling).reshape(heads, -1, dim)
    logits = product_by_head(queries, keys.transpose(1, 2), queries.new_empty(*queries.shape[:2], keys.shape[1]))
    if call.softcap is not None:
        logits = call.softcap * torch.tanh(logits / call.softcap)
    logits = logits.view(heads, -1, stop - start, at.shape[1])
    # Only the block's own keys can lie ahead of a query; the other two are rare.
    own = logits[..., at.shape[1] - (stop - start) :]
    ahead = torch.ones(stop - start, stop - start, dtype=torch.bool, device=at.device).triu(1)
    own.masked_fill_(ahead, float("-inf"))
    if int(call.sees_from[block][-1]):
        logits.masked_fill_((at[:, None] < call.sees_from[block, None])[:, None], float("-inf"))
    elif bool((at[:, 0] < 0).any()):
        logits.masked_fill_((at < 0)[:, None, None], float("-inf"))
    return logits
