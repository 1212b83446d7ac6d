"""What a query sees, in blocks, against the definition; and single heads of a layer."""

import dataclasses

import pytest
import torch

from keepmap.attention.layer import causal
from tests.attention.layers import random_layer, visible, weights


@pytest.mark.parametrize("options", [{}, {"own_window": 7}, {"evicting": True}], ids=str)
def test_blocks_of_what_is_visible(options):
    layer = random_layer(40, **options)
    expected = visible(layer)
    rows, columns = torch.tensor([3, 17, 39]), torch.arange(5, 45)  # five columns beyond the last position
    for kv_head in range(2):
        seen = layer.visible(kv_head, rows, columns)
        assert torch.equal(seen[0, :, :35], expected[2 * kv_head][rows][:, 5:])
        assert not seen[..., 35:].any()


def test_a_bias_hides_where_it_is_minus_infinity():
    layer = random_layer(10)
    bias = torch.zeros(4, 10, 10, dtype=torch.float64)
    bias[3, 8, 2] = -torch.inf
    layer = dataclasses.replace(layer, bias=bias)
    seen = layer.visible(1, torch.tensor([8]), torch.arange(10))
    assert seen.shape == (2, 1, 10)
    assert (seen[0, 0, 2].item(), seen[1, 0, 2].item(), seen[1, 0, 9].item()) == (True, False, False)
    assert layer.has_holes and not layer.ends_at_the_query


def test_heads_taken_out_attend_as_before():
    layer = random_layer(30, evicting=True)
    some = layer.with_heads(torch.tensor([3, 0]))
    assert (some.n_heads, some.n_kv_heads, some.group, some.n) == (2, 2, 1, 30)
    torch.testing.assert_close(weights(some), weights(layer)[[3, 0]])


def test_which_layers_see_one_interval_up_to_the_query():
    assert random_layer(10).ends_at_the_query and random_layer(10, own_window=3).ends_at_the_query
    assert not random_layer(10, evicting=True).ends_at_the_query
    two_way = dataclasses.replace(random_layer(10), sees_until=torch.full((10,), 10))
    assert not two_way.ends_at_the_query and not two_way.has_holes
    starts, ends = causal(3)
    assert (starts.tolist(), ends.tolist()) == ([0, 0, 0], [1, 2, 3])
