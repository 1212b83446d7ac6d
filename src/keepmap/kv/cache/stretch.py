"""Several queries against what a layer holds: reading a text, or a part of one, by the code that `evict` runs on.

H query head · G KV head · N positions, those that were seen before among them · W columns of what is held.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.budgets import Shares
from keepmap.kv.cache.held import Held, Terms
from keepmap.kv.choosing import Threshold, decisions, drops_of_budget
from keepmap.kv.eviction.attention import evicting_attention
from keepmap.kv.eviction.checks import nan_score
from keepmap.kv.eviction.review import advance_reviews
from keepmap.kv.eviction.scan import Past, State, advance
from keepmap.kv.method import Received, Reviewed
from keepmap.kv.passes import LayerCall
from keepmap.kv.sharing import dropped_in_turn

__all__ = ["stretch"]


def stretch(call: LayerCall, held: Held, terms: Terms, scores: np.ndarray | None) -> Float[Tensor, "H Q Dv"]:
    """The attention of new positions; what the rule drops after each of them is dropped.

    Raises:
        ImpossibleResultError: a NaN score.
    """
    first = held.seen
    held.slide(int(call.sees_from[0]), terms.method, call.keys.shape[1])
    held.append(call.keys, call.values, scores)
    positions, _ = held.all()
    real, head = positions >= 0, np.arange(held.heads)[:, None]
    keys, values = held.slabs.whole()
    # Of what is gone, any row: nobody sees it.
    rows = held.rows().clip(min=0)
    inside = real & (np.arange(positions.shape[1]) < held.columns.counts[:, None])
    output: Tensor | None = None
    if isinstance(terms.method, Received):
        past = Past(keys, values, rows, first)
        output, ends = _by_received(call, held, terms, past)
    elif isinstance(terms.method, Reviewed):
        ends = _by_review(held, terms, terms.method, first)
    else:
        ends = _by_score(held, terms, first)
    if output is None:
        expires = np.zeros((held.heads, held.seen), dtype=np.int64)
        # The model's own window is one more way to go: first query that no longer sees a position.
        hidden_at = first + np.searchsorted(call.sees_from.cpu().numpy(), positions, side="right")
        until = np.minimum(np.where(ends, ends, held.seen), hidden_at)
        expires[np.broadcast_to(head, positions.shape)[inside], positions[inside]] = until[inside]
        output = evicting_attention(
            call.queries,
            keys,
            values,
            torch.from_numpy(expires).to(keys.device),
            torch.zeros(held.seen, dtype=torch.int64, device=keys.device),
            scaling=call.scaling,
            softcap=call.softcap,
            sinks=call.sinks,
            rows=torch.from_numpy(rows).to(keys.device),
        )
    held.drop(ends > 0, ends)
    held.slide(int(call.sees_from[-1]), terms.method)
    return output


def _by_score(held: Held, terms: Terms, first: int) -> np.ndarray:
    """[G, W], the expiries that scores decide which are known; 0 where none."""
    positions, scores = held.all()
    n, chunk, protection = held.seen, terms.chunk_size, terms.protection
    ends = np.zeros(positions.shape, dtype=np.int64)
    left = terms.left(first + 1)
    if isinstance(terms.rule, Threshold):
        decided_at = -(-(positions.astype(np.int64) + protection.window + 1) // chunk) * chunk
        dropped = (positions >= left) & (decided_at <= n) & (scores < terms.rule.threshold)
        ends[dropped] = decided_at[dropped]
        return ends
    if isinstance(terms.rule, Shares):
        open_to_it = np.where(positions >= protection.n_sink, positions, -1)
        return dropped_in_turn(scores, open_to_it, terms.rule, decisions(first, n, protection, chunk, ends=False))
    leaving = n // chunk * chunk - protection.window
    if leaving <= left:
        return ends
    order = np.argsort(np.where(positions >= protection.n_sink, positions, n), axis=1, kind="stable")
    sorted_positions = np.take_along_axis(positions, order, axis=1)
    count = int(((sorted_positions[0] >= protection.n_sink) & (sorted_positions[0] < leaving)).sum())
    order = order[:, :count]
    deciding = torch.from_numpy(np.take_along_axis(scores, order, axis=1))
    columns, drops_at = drops_of_budget(deciding, terms.rule, protection, chunk, first, n)
    at = np.take_along_axis(order, columns.numpy(), axis=1)
    np.put_along_axis(ends, at, np.broadcast_to(drops_at.numpy(), at.shape), axis=1)
    return ends


def _by_received(
    call: LayerCall, held: Held, terms: Terms, past: Past
) -> tuple[Float[Tensor, "H Q Dv"] | None, np.ndarray]:
    """The attention where it falls off on the way, and [G, W] the expiries; totals and the record are brought along."""
    assert isinstance(terms.method, Received)
    positions, totals = held.all()
    real = positions >= 0
    head = np.nonzero(real)[0]
    state = _state(held, terms, past.first)
    state.total[head, positions[real]] = totals[real]
    left = state.left
    output = advance(call, terms.method, terms.rule, terms.protection, terms.chunk_size, state, past)
    totals = np.where(real, state.total[np.arange(held.heads)[:, None], positions], 0.0)
    held.rescore(totals)
    ends, decided, scores = _decided(held, terms, state, left)
    _, now = held.scores_at(terms, held.seen)
    if np.isnan(np.where(real, now, 0.0)).any() or np.isnan(scores[decided]).any():
        raise nan_score(terms.method.name, call.layer)
    return output, ends


def _by_review(held: Held, terms: Terms, method: Reviewed, first: int) -> np.ndarray:
    """[G, W], the expiries; the record, and the scores of a decision after the last query, are brought along."""
    assert held.sight is not None
    state = _state(held, terms, first)
    left = state.left
    scores = advance_reviews(
        held.holding(),
        held.sight,
        method,
        terms.rule,
        terms.protection,
        terms.chunk_size,
        state,
        first,
        terms.seed,
        ends=False,
    )
    positions, _ = held.all()
    if scores is not None:
        held.rescore(scores[np.arange(held.heads)[:, None], positions])
    return _decided(held, terms, state, left)[0]


def _state(held: Held, terms: Terms, first: int) -> State:
    """What is held before the query `first` is processed, as a scan has it."""
    positions, _ = held.all()
    real = positions >= 0
    state = State(held.heads, held.seen, terms.protection.n_sink)
    state.left = terms.left(first + 1)
    state.expires[:] = 0
    state.expires[np.nonzero(real)[0], positions[real]] = held.seen + 1
    return state


def _decided(held: Held, terms: Terms, state: State, left: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[G, W]: the expiries of what goes (0: none), what was decided, and by which scores, which are recorded.

    Args:
        left: what had left the window before the queries came.
    """
    positions, _ = held.all()
    real, head = positions >= 0, np.arange(held.heads)[:, None]
    ends = np.where(real, state.expires[head, positions], 0)
    ends[ends > held.seen] = 0
    decided = ends > 0
    if isinstance(terms.rule, Threshold):
        decided = (positions >= left) & (positions < state.left)
    scores = np.where(real, state.scores[head, positions], 0.0)
    held.record.rate(positions, scores, decided)
    return ends, decided, scores
