"""Quarters, sinks and window of rows against slices of the whole matrix."""

import pytest
import torch

from keepmap.attention.blocks import blocks
from keepmap.attention.segments import StretchesOfIntervals, StretchesOfSets, seen_by_intervals
from tests.attention.layers import random_layer, visible, weights


def ratio(p):
    quarter = max(1, len(p) // 4)
    return float(p[-quarter:].mean() / p[:quarter].mean()) if len(p) > 1 else float("nan")


def by_row(layer, n_sink, window):
    """(head, query) -> count, both ratios, sinks, window, of what is seen."""
    whole, seen = weights(layer), visible(layer)
    position = torch.arange(layer.n)
    rows = {}
    for head in range(layer.n_heads):
        for query in range(layer.n):
            at = seen[head, query]
            rows[head, query] = (
                int(at.sum()),
                ratio(whole[head, query, at]),
                ratio(whole[head, query, at & (position >= n_sink)]),
                float(whole[head, query, :n_sink].sum()),
                float(whole[head, query, max(0, query - window + 1) : query + 1].sum()),
            )
    return rows


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (StretchesOfIntervals, {}),
        (StretchesOfIntervals, {"own_window": 70}),
        (StretchesOfSets, {}),
        (StretchesOfSets, {"evicting": True}),
    ],
)
@pytest.mark.parametrize(("n_sink", "window"), [(0, 1), (4, 20), (70, 64), (300, 300)])
def test_equals_slices_of_the_whole_matrix(kind, options, n_sink, window):
    layer = random_layer(150, 2, 1, **options)
    expected = by_row(layer, n_sink, window)
    rows_done = 0
    for block in blocks(layer):
        stretches = kind(block, n_sink, window)
        stretches.read(block)
        result = stretches.finish()
        scale = block.scale
        columns = (
            result.count,
            result.recent_distant,
            result.recent_distant_without_sinks,
            result.sinks * scale,
            result.window * scale,
        )
        for head in range(2):
            for index, query in enumerate(block.rows.tolist()):
                values = [float(column[head, index]) for column in columns]
                assert values == pytest.approx(expected[head, query], rel=1e-9, nan_ok=True), (head, query)
        rows_done += len(block.rows)
    assert rows_done == 150


def test_how_many_queries_see_a_position():
    layer = random_layer(50, own_window=8)
    queries = torch.tensor([0, 5, 6, 30, 49])
    assert torch.equal(seen_by_intervals(layer, queries), visible(layer)[0, queries].sum(0))
