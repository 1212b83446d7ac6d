"""One query against what a layer holds, compiled: loading this module loads numba, which keeps what it compiled.

G KV heads · R query heads each · K rows that a head holds · D, Dv row sizes.
"""

import math
from typing import no_type_check

import numpy as np

from keepmap.kv.eviction.steps import compiled

__all__ = ["take_query"]

_STRETCH = 512
"""Rows whose values are summed up in the values' own precision before they join the rest."""


@compiled
@no_type_check
def _products(queries, keys, weights):
    """Products of a head's queries [R, D] and its keys [K, D]: three query heads at a time share what was read."""
    group, size = queries.shape
    zero = queries.dtype.type(0)
    head = 0
    while head + 3 <= group:
        first, second, third = queries[head], queries[head + 1], queries[head + 2]
        for k in range(len(keys)):
            row = keys[k]
            a = b = c = zero
            for d in range(size):
                a += first[d] * row[d]
                b += second[d] * row[d]
                c += third[d] * row[d]
            weights[head, k], weights[head + 1, k], weights[head + 2, k] = a, b, c
        head += 3
    while head < group:
        first = queries[head]
        for k in range(len(keys)):
            row = keys[k]
            a = zero
            for d in range(size):
                a += first[d] * row[d]
            weights[head, k] = a
        head += 1


@compiled
@no_type_check
def _exponentials(row, count, sink):
    """exp(logit - the largest) in place, and its sum with that of a learned sink; not a number stays one."""
    most = sink
    for k in range(count):
        if row[k] > most:
            most = float(row[k])
    total = math.exp(sink - most)
    for k in range(count):
        x = float(row[k]) - most
        # The series of exp(x / 4096), squared twelve times: in vectors, which the library's own is not.
        y = (-700.0 if x < -700.0 else x) / 4096.0
        p = 1.0 + y * (1.0 / 9.0 + y / 90.0)
        p = 1.0 + y * (1.0 / 7.0 + y / 56.0 * p)
        p = 1.0 + y * (1.0 / 5.0 + y / 30.0 * p)
        p = 1.0 + y * (1.0 / 3.0 + y / 12.0 * p)
        p = 1.0 + y * (1.0 + y / 2.0 * p)
        for _ in range(12):
            p = p * p
        row[k] = p
        total += p
    return total


@compiled
@no_type_check
def _sums(weights, values, output):
    """Sums of a head's values [K, Dv] by its queries' weights [R, K]."""
    group, size = output.shape
    part = np.empty_like(output)
    output[:] = 0
    for begin in range(0, len(values), _STRETCH):
        end = min(begin + _STRETCH, len(values))
        part[:] = 0
        k = begin
        while k + 4 <= end:
            v0, v1, v2, v3 = values[k], values[k + 1], values[k + 2], values[k + 3]
            for r in range(group):
                to = part[r]
                w0, w1, w2, w3 = weights[r, k], weights[r, k + 1], weights[r, k + 2], weights[r, k + 3]
                for d in range(size):
                    to[d] += w0 * v0[d] + w1 * v1[d] + w2 * v2[d] + w3 * v3[d]
            k += 4
        while k < end:
            v0 = values[k]
            for r in range(group):
                to, w0 = part[r], weights[r, k]
                for d in range(size):
                    to[d] += w0 * v0[d]
            k += 1
        output += part


@compiled
@no_type_check
def take_query(
    queries,  # float [G, R, D], scaled
    new_keys,  # float [G, D]
    new_values,  # float [G, Dv]
    known,  # float64 [G]: the score of the new position, 0 where attention received is the score
    sinks,  # float64 [G, R]: a learned sink's logit, or -inf
    softcap,  # 0 for none
    keys,  # float [rows, D], written: the slabs of all heads
    values,  # float [rows, Dv], written
    starts,  # int64 [G]: each head's first row
    counts,  # int64 [G], written: how many rows it holds
    positions,  # int32 [G, room], written
    scores,  # float64 [G, room], written
    expires,  # int32 [G, positions], written: the record
    record,  # float32 [G, positions], written: the record's scores
    seen,  # the new position
    receives,  # whether the score is attention received
    averages,  # whether it is divided by the number of queries
    n_sink,
    left,  # positions before this were decided; before `leaving` they are now, 0 where nothing is decided
    leaving,
    drops,  # how many the budget rule drops; -1 under the threshold rule
    threshold,
    output,  # float [G, R, Dv], written
):
    """Append, attend, decide and drop: all of a decoding step in one layer. False where a score is not a number."""
    heads, group = output.shape[:2]
    end = seen + 1
    weights = np.empty((group, counts.max() + 1), dtype=keys.dtype)
    valid = True
    for g in range(heads):
        start, count = starts[g], counts[g]
        keys[start + count], values[start + count] = new_keys[g], new_values[g]
        positions[g, count], scores[g, count] = seen, known[g]
        record[g, seen] = known[g]
        count += 1
        held = slice(start, start + count)
        _products(queries[g], keys[held], weights)
        if softcap > 0.0:
            for r in range(group):
                for k in range(count):
                    weights[r, k] = softcap * math.tanh(weights[r, k] / softcap)
        for r in range(group):
            total = _exponentials(weights[r], count, sinks[g, r])
            if receives:
                row, received, share = weights[r], scores[g], 1.0 / (total * group)
                for k in range(count):
                    received[k] += row[k] * share
            inverse = 1.0 / total
            for k in range(count):
                weights[r, k] *= inverse
        _sums(weights, values[held], output[g])
        row = 0
        while drops < 0 and row < count:
            at = positions[g, row]
            stays = True
            if left <= at < leaving:
                score = scores[g, row] / (end - at) if averages else scores[g, row]
                valid = valid and score == score
                record[g, at] = score
                stays = not score < threshold
            if stays:
                row += 1
            else:
                expires[g, at] = end
                count -= 1
                _swap(keys, values, positions[g], scores[g], start, row, count)
        for _ in range(drops if leaving > 0 else 0):
            lowest, least = -1, np.inf
            for k in range(count):
                at = positions[g, k]
                if n_sink <= at < leaving:
                    score = scores[g, k] / (end - at) if averages else scores[g, k]
                    valid = valid and score == score
                    if lowest < 0 or score < least or (score == least and at < positions[g, lowest]):
                        lowest, least = k, score
            if lowest < 0:
                break
            at = positions[g, lowest]
            expires[g, at], record[g, at] = end, least
            count -= 1
            _swap(keys, values, positions[g], scores[g], start, lowest, count)
        counts[g] = count
    return valid


@compiled
@no_type_check
def _swap(keys, values, positions, scores, start, row, last):
    """The last row of a head takes the place of another."""
    keys[start + row], values[start + row] = keys[start + last], values[start + last]
    positions[row], scores[row] = positions[last], scores[last]
    positions[last] = -1
