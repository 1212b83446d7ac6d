"""Rows that grow with little room, are swapped and compacted, against lists."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from keepmap.kv.cache.rows import Columns, Slabs, with_room

HEADS = 3


def slabs() -> Slabs:
    return Slabs(HEADS, torch.empty(0, 2), torch.empty(0, 1))


def numbers(start: int, count: int) -> torch.Tensor:
    """Every row of every head is a number of its own."""
    return (1000.0 * torch.arange(HEADS)[:, None] + torch.arange(start, start + count))[..., None]


def append(store: Slabs, columns: Columns, start: int, count: int) -> None:
    new = numbers(start, count)
    store.append(new.expand(-1, -1, 2), -new)
    columns.append([np.arange(start, start + count)] * HEADS, list(new[..., 0].numpy()))


def contents(store: Slabs) -> list[list[float]]:
    results: list[list[float]] = []
    for _, keys, values in store.parts():
        assert torch.equal(keys[..., 0], keys[..., 1]) and torch.equal(keys[..., :1], -values)
        results += keys[..., 0].tolist()
    return results


@given(data=st.data())
def test_equals_lists_in_the_same_order(data: st.DataObject) -> None:
    store, columns = slabs(), Columns(HEADS)
    append(store, columns, 0, 4)
    expected = [numbers(0, 4)[head, :, 0].tolist() for head in range(HEADS)]
    for seen in range(4, 30):
        what = data.draw(st.sampled_from(("append", "append", "remove", "keep")))
        if what == "append":
            append(store, columns, seen, 1)
            for head in range(HEADS):
                expected[head].append(float(numbers(seen, 1)[head]))
        elif what == "remove" and min(map(len, expected)):
            heads = data.draw(st.sets(st.integers(0, HEADS - 1), min_size=1))
            at = {head: data.draw(st.integers(0, len(expected[head]) - 1)) for head in sorted(heads)}
            store.remove(np.array(list(at)), np.array(list(at.values())))
            columns.remove(np.array(list(at)), np.array(list(at.values())))
            for head, row in at.items():
                expected[head][row] = expected[head][-1]
                expected[head].pop()
        else:
            kept = [np.flatnonzero([data.draw(st.booleans()) for _ in rows]) for rows in expected]
            store.keep(kept)
            columns.keep(kept)
            expected = [[rows[at] for at in each] for rows, each in zip(expected, kept, strict=True)]
        assert contents(store) == expected == contents(store.copy())
        assert [columns.scores[head, :count].tolist() for head, count in enumerate(columns.counts)] == expected
        assert columns.copy().positions.tolist() == columns.positions.tolist()


@pytest.mark.parametrize("count", [0, 100, 10_000])
def test_there_is_little_room(count: int) -> None:
    assert count < with_room(count) <= count + 8 + count // 32


def test_heads_of_different_lengths_take_no_more_than_their_own() -> None:
    store = slabs()
    store.append(numbers(0, 2000).expand(-1, -1, 2), numbers(0, 2000))
    store.keep([np.arange(1900), np.arange(10), np.arange(0)])
    assert store.nbytes <= 1.04 * 1910 * store.entry_nbytes + 3 * 8 * store.entry_nbytes
    keys, _ = store.padded()
    assert keys.shape == (3, 1900, 2) and keys[1, :10, 0].tolist() == numbers(0, 10)[1, :, 0].tolist()


def test_room_is_given_back() -> None:
    store = slabs()
    store.append(numbers(0, 2000).expand(-1, -1, 2), numbers(0, 2000))
    before = store.nbytes
    for _ in range(1500):
        store.remove(np.arange(HEADS), np.zeros(HEADS, dtype=np.int64))
        store.shrink()
    assert store.nbytes < before / 2


def test_rows_of_a_copy_are_its_own() -> None:
    store = slabs()
    store.append(numbers(0, 3).expand(-1, -1, 2), -numbers(0, 3))
    copy = store.copy()
    copy.remove(np.array([0]), np.array([0]))
    assert contents(store)[0] == [0.0, 1.0, 2.0] and contents(copy)[0] == [2.0, 1.0]
