"""What goes where heads do not hold alike: of scores as they stand at one decision, and of scores that are fixed.

G KV heads · W entries of the fullest head · L layers.
"""

import heapq
from collections.abc import Iterable

import numpy as np

from keepmap.kv.budgets import Budget, Shares

__all__ = ["dropped_by_model", "dropped_in_turn", "lowest"]

_FEW = 4
"""So many are looked for one by one; more are sorted out."""
_NO_POSITION = np.iinfo(np.int64).max


def lowest(
    scores: np.ndarray, positions: np.ndarray, candidates: np.ndarray, rule: Budget | Shares, m: int
) -> np.ndarray:
    """Bool [G, W], what one decision drops: the lowest-scored, on a tie the earlier position, then the first head.

    Args:
        candidates: bool [G, W], what of m compressible positions that left the window is held.
    """
    if isinstance(rule, Shares) and rule.is_pooled:
        return _lowest_of_all(scores, positions, candidates, rule.safe(m), sum(rule.capacities(m)))
    capacities = rule.capacities(m) if isinstance(rule, Shares) else [rule.capacity(m)] * len(scores)
    goes = (candidates.sum(axis=1) - capacities).clip(min=0)
    dropped = np.zeros_like(candidates)
    if goes.max(initial=0) > _FEW:
        for head, count in enumerate(goes):
            at = np.flatnonzero(candidates[head])
            dropped[head, at[np.lexsort((positions[head, at], scores[head, at]))[:count]]] = True
        return dropped
    for round_ in range(int(goes.max(initial=0))):
        heads = np.flatnonzero(goes > round_)
        free = candidates[heads] & ~dropped[heads]
        least = np.where(free, scores[heads], np.inf).min(axis=1, keepdims=True)
        tied = free & (scores[heads] == least)
        # Of 64 bits, whatever the positions have: so large a number fits into no less.
        dropped[heads, np.where(tied, positions[heads].astype(np.int64), _NO_POSITION).argmin(axis=1)] = True
    return dropped


def _lowest_of_all(
    scores: np.ndarray, positions: np.ndarray, candidates: np.ndarray, safe: int, capacity: int
) -> np.ndarray:
    """The same of heads that share; `safe` of its best no head drops."""
    heads, at = np.nonzero(candidates)
    order = np.lexsort((heads, positions[heads, at], scores[heads, at]))
    heads, at = heads[order], at[order]
    droppable = candidates.sum(axis=1) - safe
    # The lowest of each head that it may drop at all; of those, the lowest.
    turn = np.zeros(len(heads), dtype=np.int64)
    for head in range(len(scores)):
        own = heads == head
        turn[own] = np.arange(int(own.sum()))
    goes = np.flatnonzero(turn < droppable[heads])[: max(0, len(heads) - capacity)]
    dropped = np.zeros_like(candidates)
    dropped[heads[goes], at[goes]] = True
    return dropped


def dropped_by_model(scores: np.ndarray, rule: Budget, n_sink: int, window: int) -> np.ndarray:
    """Bool [L, G, C], what one cut after C positions drops where all layers and heads share a budget."""
    layers, heads, context = scores.shape
    dropped = np.zeros(scores.shape, dtype=bool)
    inside = slice(n_sink, max(n_sink, context - window))
    candidates = scores[:, :, inside]
    count = candidates.shape[2]
    if not count:
        return dropped
    goes = layers * heads * (count - rule.capacity(count))
    # In order of score, then of position, then of layer and head.
    order = np.argsort(candidates.transpose(2, 0, 1).ravel(), kind="stable")[:goes]
    position, layer, head = np.unravel_index(order, (count, layers, heads))
    dropped[layer, head, position + n_sink] = True
    return dropped


def dropped_in_turn(
    scores: np.ndarray, positions: np.ndarray, shares: Shares, decisions: Iterable[tuple[int, int, int]]
) -> np.ndarray:
    """[G, W], the expiries (0: none) that scores which are known decide, one decision after the other.

    Args:
        positions: [G, W], of what may go, in any order; -1 is padding.
        decisions: after how many queries each falls, before which position all have then left the window, and how many
            compressible ones have.
    """
    heads = len(scores)
    at_head, columns = np.nonzero(positions >= 0)
    at = positions[at_head, columns]
    by_rank = np.lexsort((at_head, at, scores[at_head, columns]))
    rank = np.empty_like(by_rank)
    rank[by_rank] = np.arange(len(by_rank))
    # Each head's entries in order of position, to be put into its heap as they leave the window.
    coming = [np.flatnonzero(at_head == head) for head in range(heads)]
    coming = [own[np.argsort(at[own], kind="stable")] for own in coming]
    leaves = [at[own].tolist() for own in coming]
    ranks = [rank[own].tolist() for own in coming]
    entered = [0] * heads
    heaps: list[list[int]] = [[] for _ in range(heads)]
    expired: list[tuple[int, int]] = []
    for end, leaving, m in decisions:
        for head, heap in enumerate(heaps):
            begin = entered[head]
            while begin < len(leaves[head]) and leaves[head][begin] < leaving:
                heapq.heappush(heap, ranks[head][begin])
                begin += 1
            entered[head] = begin
        capacities = shares.capacities(m)
        if shares.is_pooled:
            safe, goes = shares.safe(m), sum(map(len, heaps)) - sum(capacities)
            for _ in range(goes):
                heap = min((heap for heap in heaps if len(heap) > safe), key=lambda heap: heap[0])
                expired.append((heapq.heappop(heap), end))
            continue
        for heap, capacity in zip(heaps, capacities, strict=True):
            while len(heap) > capacity:
                expired.append((heapq.heappop(heap), end))
    ends = np.zeros(positions.shape, dtype=np.int64)
    for gone, end in expired:
        entry = by_rank[gone]
        ends[at_head[entry], columns[entry]] = end
    return ends
