"""Blocks put together are the whole softmax; chunk sums and progress add up."""

import pytest
import torch

from keepmap.attention.blocks import CHUNK, blocks, pairs
from tests.attention.layers import random_layer, weights


@pytest.mark.parametrize("options", [{}, {"own_window": 9}, {"evicting": True}, {"kv_heads": 4}], ids=str)
@pytest.mark.parametrize("rows", [None, [2, 3, 4, 90, 149]], ids=["all rows", "some rows"])
def test_the_blocks_are_the_whole_matrix(options, rows):
    layer = random_layer(**options)
    expected = weights(layer)
    chosen = list(range(150)) if rows is None else rows
    result = torch.zeros_like(expected)
    for block in blocks(layer, None if rows is None else torch.tensor(rows)):
        part = torch.zeros(layer.group, len(block.rows), 150, dtype=torch.float64)
        part[..., block.inside] = block.weights()
        result[block.heads, block.index] = part
        chunks = block.raw.unflatten(-1, (-1, CHUNK)).sum(-1)
        torch.testing.assert_close(block.chunk_sums, chunks)
        torch.testing.assert_close(block.total, block.raw.sum(-1))
        assert float(block.raw.max()) == 1.0
    torch.testing.assert_close(result[:, chosen], expected[:, chosen])
    assert result.abs().sum((0, 2)).nonzero().flatten().tolist() == chosen


def test_chosen_chunks_are_those_of_their_rows():
    block = next(iter(blocks(random_layer(200))))
    count = block.raw.shape[2] // CHUNK
    chunk = torch.arange(len(block.rows))[None] % count
    result = block.take_chunks(block.find_chunks(chunk))
    for head in range(2):
        for row in range(0, len(block.rows), 17):
            start = int(chunk[0, row]) * CHUNK
            assert torch.equal(result[head, 0, row], block.raw[head, row, start : start + CHUNK])


def test_pairs_and_progress():
    layer = random_layer(own_window=9)
    assert pairs(layer) == sum(min(i + 1, 9) for i in range(150))
    assert pairs(layer, torch.tensor([0, 3, 100])) == 1 + 4 + 9
    shares: list[float] = []
    for _ in blocks(layer, progress=shares.append):
        pass
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) >= 2
