"""Cells and masses of a small matrix, by slices. (Every kind of layer: test_statistics.)"""

import pytest
import torch

from keepmap.attention.maps import attention_map, mass_in, mass_kept
from tests.attention.layers import random_layer, weights


@pytest.mark.parametrize("size", [1, 4, 7, 40, 999])
def test_a_cell_is_the_mean_and_the_maximum_of_its_pairs(size):
    layer = random_layer(40, 1, 1)
    whole, result = weights(layer)[0], attention_map(layer, size)
    cells = min(size, 40)
    assert result.edges.tolist() == [cell * 40 // cells for cell in range(cells + 1)]
    for row in range(cells):
        for column in range(cells):
            rows, columns = (slice(result.edges[at], result.edges[at + 1]) for at in (row, column))
            assert result.mean[row, column] == pytest.approx(float(whole[rows, columns].mean()))
            assert result.maximum[row, column] == pytest.approx(float(whole[rows, columns].max()))


def test_masses_are_sums_over_the_set_and_nan_where_nothing_was_measured():
    layer, queries = random_layer(40), torch.tensor([5, 39])
    whole = weights(layer)
    logits = layer.scaling * layer.queries @ layer.keys.repeat_interleave(2, 0).transpose(1, 2)
    later = torch.ones(40, 40, dtype=torch.bool).triu(1)
    log_sum_exp = logits.masked_fill(later, -torch.inf).logsumexp(-1)
    result = mass_in(layer, log_sum_exp, queries, torch.tensor([0, 4, 30]))
    torch.testing.assert_close(result[:, queries], whole[:, queries][..., [0, 4, 30]].sum(-1))
    assert int(result.isnan().sum()) == 4 * 38


def test_the_mass_of_what_is_kept_is_of_the_full_attention():
    layer, evicting = random_layer(40), random_layer(40, evicting=True)
    position = torch.arange(40)
    alive = position[:, None] < evicting.expires.repeat_interleave(2, 0)[:, None]
    expected = (weights(layer) * alive).sum(-1)
    torch.testing.assert_close(mass_kept(layer, evicting.expires, position), expected)
    assert float(expected.min()) < 0.9


def test_a_cell_that_no_query_sees_is_hidden():
    hidden = attention_map(random_layer(40, 1, 1), 8).hidden
    assert torch.equal(torch.from_numpy(hidden), torch.ones(8, 8, dtype=torch.bool).triu(1))
