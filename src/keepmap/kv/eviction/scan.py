"""Decisions by received attention: the steps of one layer, one after the other.

Whether a position goes depends on the attention it received from earlier queries, and that on what had gone by then:
within a layer there is no way around the order. Products of queries and keys are computed block by block where the
model is; the steps are O(K) sums on the CPU.

H query head · G KV head · R = H / G · N positions · S queries in a block · K columns: the keys alive when the block
starts, then its own.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.attention.forward import LayerCall
from keepmap.errors import ImpossibleResultError
from keepmap.kv.choosing import Expiries, Protection, Rule, Threshold
from keepmap.kv.method import Received

__all__ = ["scan"]

_BLOCK_BYTES = 1 << 27
_LONGEST_BLOCK = 128
_VANISHED = 1e-20
"""A softmax's sum below this has lost its digits to keys that are gone: the row is computed anew."""


def scan(
    call: LayerCall, method: Received, rule: Rule, protection: Protection, chunk_size: int
) -> tuple[Expiries, Float[Tensor, "G N"]]:
    """What `method` and `rule` decide in one layer, and the scores that decided it.

    Raises:
        ImpossibleResultError: a NaN score.
    """
    heads, n = call.keys.shape[:2]
    layer = _Layer(
        call=call,
        method=method,
        rule=rule,
        protection=protection,
        chunk_size=chunk_size,
        state=_State(heads, n),
    )
    start = 0
    while start < n:
        row = 16 * call.queries.shape[0] * (layer.state.alive_before(start) + _LONGEST_BLOCK)
        stop = min(n, start + max(1, min(_LONGEST_BLOCK, _BLOCK_BYTES // row)))
        _block(layer, start, stop)
        start = stop
    state = layer.state
    final = _scores(method, state.total, n - np.arange(n)[None])
    decided = ~state.held()
    if isinstance(rule, Threshold):
        decided[:, protection.n_sink : state.left] = True
    scores = torch.from_numpy(np.where(decided, state.scores, final))
    if torch.isnan(scores).any():
        raise ImpossibleResultError("a score is NaN: the method, the model's weights or its inputs are damaged")
    device = call.keys.device
    expires = torch.from_numpy(np.minimum(state.expires, n))
    choice = Expiries(expires.to(device), torch.from_numpy(state.held()).to(device))
    return choice, scores.to(device)


class _State:
    """Per KV head and position [G, N]: attention received, what was decided and by which score."""

    def __init__(self, heads: int, n: int) -> None:
        self.total = np.zeros((heads, n))
        self.scores = np.zeros((heads, n))
        self.expires = np.full((heads, n), n + 1)
        """N + 1 for what is held; N for what goes after the last query."""
        self.left = 0
        """Positions before this one have left the window."""
        self.dropped = 0
        """Positions that the budget rule dropped so far, the same number from each head."""

    def held(self) -> np.ndarray:
        return self.expires > self.expires.shape[1]

    def alive_before(self, start: int) -> int:
        return int(self.held()[:, :start].sum(axis=1).max())


@dataclass(frozen=True, kw_only=True)
class _Layer:
    call: LayerCall
    method: Received
    rule: Rule
    protection: Protection
    chunk_size: int
    state: _State


@dataclass(frozen=True)
class _Columns:
    """The keys of a block: those alive at its start, flush right, then its own.

    Whatever has not been decided is alive in every head, so that position p >= left is column p + shift in all of them.
    """

    positions: np.ndarray
    """[G, K]; -1 is padding, on the left."""
    shift: int
    seen: np.ndarray
    """[G, 1, 1, K]: 1.0 for what is seen, 0.0 for what is gone and for padding."""
    not_up: np.ndarray
    """[G, K]: 0.0 for what the budget rule may drop, inf for the rest."""
    heads: np.ndarray
    """[G]: 0, 1, ..."""

    @classmethod
    def of(cls, state: _State, protection: Protection, start: int, stop: int) -> "_Columns":
        alive = state.held()[:, :start]
        width = state.alive_before(start)
        heads = alive.shape[0]
        positions = np.full((heads, width + stop - start), -1)
        for head in range(heads):
            held = np.flatnonzero(alive[head])
            positions[head, width - held.size : width] = held
        positions[:, width:] = np.arange(start, stop)
        up = (positions >= protection.n_sink) & (positions < state.left)
        seen = (positions >= 0).astype(np.float64)[:, None, None]
        return cls(positions, width - start, seen, np.where(up, 0.0, np.inf), np.arange(heads))


def _block(layer: _Layer, start: int, stop: int) -> None:
    """The queries start..stop-1: their attention, and the decisions that fall after them."""
    state, protection, chunk = layer.state, layer.protection, layer.chunk_size
    n = state.total.shape[1]
    columns = _Columns.of(state, protection, start, stop)
    head = columns.heads[:, None]
    logits = _logits(layer.call, columns.positions, start, stop)
    sinks = _sinks(layer.call, logits)
    most = logits.amax(dim=-1, keepdim=True)
    most = most if sinks is None else torch.maximum(most, sinks)
    weights = (logits - most).exp_().double().cpu().numpy()
    sink = 0.0 if sinks is None else (sinks - most)[..., 0].exp().double().cpu().numpy()
    total = np.where(columns.positions >= 0, state.total[head, columns.positions], 0.0)
    first = start
    while first < stop:
        end = min(stop, first + chunk - first % chunk)
        rows = slice(first - start, end - start)
        total += _received(layer, weights[:, :, rows], sink, columns.seen, logits, rows)
        if (end % chunk == 0 or end == n) and end - protection.window > protection.n_sink:
            _decide(layer, columns, total, end)
        first = end
    real = columns.positions >= 0
    state.total[np.nonzero(real)[0], columns.positions[real]] = total[real]


def _received(
    layer: _Layer, weights: np.ndarray, sink: np.ndarray | float, seen: np.ndarray, logits: Tensor, rows: slice
) -> np.ndarray:
    """[G, K]: what each key receives from some queries: summed over them, the mean over the group's heads."""
    weights = weights * seen
    sums = weights.sum(axis=-1)
    if not isinstance(sink, float):
        sums += sink[:, :, rows]
    if sums.min() < _VANISHED:
        gone = torch.from_numpy(seen == 0.0).to(logits.device)
        anew = logits[:, :, rows].double().masked_fill(gone, float("-inf"))
        sinks = _sinks(layer.call, anew)
        most = anew.amax(dim=-1, keepdim=True)
        most = most if sinks is None else torch.maximum(most, sinks)
        weights = (anew - most).exp().cpu().numpy()
        sums = weights.sum(axis=-1) + (0.0 if sinks is None else (sinks - most)[..., 0].exp().cpu().numpy())
    group, length = weights.shape[1:3]
    if group == length == 1:
        return weights[:, 0, 0] / sums[:, 0]
    return np.einsum("grsk,grs->gk", weights, 1.0 / (group * sums))


def _decide(layer: _Layer, columns: _Columns, total: np.ndarray, end: int) -> None:
    """What goes after the chunk that ends at `end`."""
    state, protection, rule = layer.state, layer.protection, layer.rule
    leaving = end - protection.window
    entered = slice(max(state.left, protection.n_sink) + columns.shift, leaving + columns.shift)
    state.left = leaving
    if isinstance(rule, Threshold):
        positions = columns.positions[:, entered]
        scores = _scores(layer.method, total[:, entered], end - positions)
        state.scores[columns.heads[:, None], positions] = scores
        heads, at = np.nonzero(scores < rule.threshold)
        _drop(state, columns, heads, at + entered.start, end)
    else:
        # Whatever is still in the window comes after these columns.
        upto = entered.stop
        columns.not_up[:, entered] = 0.0
        m = protection.compressible_left(end)
        surplus = m - state.dropped - rule.capacity(m)
        if surplus > 0:
            scores = _scores(layer.method, total[:, :upto], end - columns.positions[:, :upto])
            scores = scores + columns.not_up[:, :upto]
            if surplus == 1:
                at = scores.argmin(axis=1)
                heads = columns.heads
            else:
                at = np.argsort(scores, axis=1, kind="stable")[:, :surplus].ravel()
                heads = np.repeat(columns.heads, surplus)
            state.scores[heads, columns.positions[heads, at]] = scores[heads, at]
            _drop(state, columns, heads, at, end)
            state.dropped += surplus


def _drop(state: _State, columns: _Columns, heads: np.ndarray, at: np.ndarray, end: int) -> None:
    state.expires[heads, columns.positions[heads, at]] = end
    columns.seen[heads, 0, 0, at] = 0.0
    columns.not_up[heads, at] = np.inf


def _scores(method: Received, total: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The method's scores; padding counts more queries than there were, and receives nothing."""
    return method.score(torch.from_numpy(total), torch.from_numpy(queries)).numpy()


def _sinks(call: LayerCall, logits: Tensor) -> Float[Tensor, "G R 1 1"] | None:
    return None if call.sinks is None else call.sinks.to(logits.dtype).view(logits.shape[0], -1, 1, 1)


def _logits(call: LayerCall, positions: np.ndarray, start: int, stop: int) -> Float[Tensor, "G R S K"]:
    """Query-key products of a block, capped, with -inf where the model's own rules hide a key, and at padding."""
    heads, _, dim = call.keys.shape
    at = torch.from_numpy(positions).to(call.keys.device)
    wide = torch.promote_types(call.keys.dtype, torch.float32)
    keys = torch.stack([call.keys[head].index_select(0, at[head].clamp(min=0)) for head in range(heads)]).to(wide)
    rows = (call.queries[:, start:stop].to(wide) * call.scaling).reshape(heads, -1, dim)
    logits = torch.bmm(rows, keys.transpose(1, 2))
    if call.softcap is not None:
        logits = call.softcap * torch.tanh(logits / call.softcap)
    logits = logits.view(heads, -1, stop - start, at.shape[1])
    # Only the block's own keys can lie ahead of a query; the other two are rare.
    own = logits[..., at.shape[1] - (stop - start) :]
    ahead = torch.ones(stop - start, stop - start, dtype=torch.bool, device=at.device).triu(1)
    own.masked_fill_(ahead, float("-inf"))
    if int(call.sees_from[stop - 1]):
        logits.masked_fill_((at[:, None] < call.sees_from[start:stop, None])[:, None], float("-inf"))
    elif bool((at[:, 0] < 0).any()):
        logits.masked_fill_((at < 0)[:, None, None], float("-inf"))
    return logits
