"""The steps of a scan, compiled: loading this module loads numba, which compiles once and keeps what it compiled.

G KV heads · R query heads each · S queries in a block · K columns of keys.
"""

from typing import Any, no_type_check

import numba
import numpy as np

__all__ = ["VANISHED", "compiled", "take_steps"]

VANISHED = 1e-20
"""A softmax's sum below this has lost its digits to keys that are gone: the row is computed anew."""


def compiled(function: Any) -> Any:
    """Sums may be taken in any order, so that they run in vectors; not a number stays one."""
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "nsz", "contract"}}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # there is no folder that could hold what was compiled
        return numba.njit(function, **options)


@compiled
@no_type_check
def take_steps(
    weights,  # float [G, R, S, K]: exp(logit - the row's largest); becomes exactly 0 where a key is gone
    sink,  # float64 [G, R, S]: the same of a learned sink, or 0
    inverse,  # float64 [G, R, S], written: 1 / each row's sum
    total,  # float64 [G, K]: attention received
    positions,  # int64 [G, K]
    barred,  # float64 [G, K]: 0 for what the budget rule may drop, inf for the rest
    expires,  # int64 [G, N], written
    scores,  # float64 [G, N], written: by which score each position was decided
    leaves,  # int64 [N]: positions before this leave the window after each query; 0 where nothing is decided
    drops,  # int64 [N, G]: how many of each head the budget rule drops then; -1 under the threshold rule
    safe,  # int64 [N]: how many of its best each head keeps where all drop together; -1 where they do not
    threshold,
    averages,
    start,  # the block's first query
    first,  # the first row to do, and the row after the last
    stop,
    left,  # positions before this have left the window, sinks included
):
    """Add up and decide row by row, until all are done or a row's sum has vanished; the next row, and `left`."""
    heads, group, length, width = weights.shape
    shift = width - length - start
    lows, leasts, droppable = np.empty(heads, np.int64), np.empty(heads), np.empty(heads, np.int64)
    for s in range(first, stop):
        seen = width - length + s + 1
        for g in range(heads):
            for r in range(group):
                row = weights[g, r, s]
                most = 0.0
                for k in range(seen):
                    most += float(row[k])
                most += sink[g, r, s]
                if most < VANISHED:
                    return s, left
                inverse[g, r, s] = 1.0 / most
        for g in range(heads):
            received = total[g]
            for r in range(group):
                row = weights[g, r, s]
                share = inverse[g, r, s] / group
                for k in range(seen):
                    received[k] += row[k] * share
        leaving = leaves[start + s]
        if leaving <= 0:
            continue
        end = start + s + 1
        if drops[start + s, 0] < 0:
            for g in range(heads):
                for k in range(left + shift, leaving + shift):
                    at = positions[g, k]
                    score = total[g, k] / (end - at) if averages else total[g, k]
                    scores[g, at] = score
                    if score < threshold:
                        expires[g, at] = end
                        weights[g, :, s + 1 :, k] = 0
            left = leaving
            continue
        # Heads that share drop in one turn; the others in a turn of their own.
        is_pooled = safe[start + s] >= 0
        lows[:] = -1
        if is_pooled:
            for g in range(heads):
                droppable[g] = -safe[start + s]
                for k in range(leaving + shift):
                    droppable[g] += barred[g, k] == 0.0
        for turn in range(1 if is_pooled else heads):
            for _ in range(drops[start + s, turn]):
                chosen = -1
                for g in range(0 if is_pooled else turn, heads if is_pooled else turn + 1):
                    if is_pooled and droppable[g] <= 0:
                        continue
                    if lows[g] < 0:
                        lowest, least = -1, float("inf")
                        for k in range(leaving + shift):
                            score = total[g, k] / (end - positions[g, k]) if averages else total[g, k]
                            score += barred[g, k]
                            if score < least:
                                lowest, least = k, score
                        lows[g], leasts[g] = lowest, least
                    if lows[g] < 0:  # not a number: the scan refuses the scores at its end
                        continue
                    if chosen >= 0 and leasts[g] > leasts[chosen]:
                        continue
                    is_tied = chosen >= 0 and leasts[g] == leasts[chosen]
                    if is_tied and positions[g, lows[g]] >= positions[chosen, lows[chosen]]:
                        continue
                    chosen = g
                if chosen < 0:
                    break
                lowest = lows[chosen]
                scores[chosen, positions[chosen, lowest]] = leasts[chosen]
                expires[chosen, positions[chosen, lowest]] = end
                barred[chosen, lowest] = float("inf")
                weights[chosen, :, s + 1 :, lowest] = 0
                lows[chosen] = -1
                droppable[chosen] -= 1
        left = leaving
    return stop, left
