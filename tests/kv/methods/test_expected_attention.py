"""ExpectedAttention: the formula where it is simple, and that a score looks at the prefix up to the last refresh."""

from dataclasses import replace

import pytest
import torch

from keepmap.kv.methods.expected_attention import ExpectedAttention
from tests.kv.methods.layers import layer_input


def test_where_all_positions_are_alike_each_is_an_average_one():
    layer = layer_input()
    same = replace(layer, keys=layer.keys[:, :1].expand(2, 20, 8), values=layer.values[:, :1].expand(2, 20, 8))
    torch.testing.assert_close(ExpectedAttention().score(same), torch.ones(2, 20, dtype=torch.float64))


def test_equal_queries_have_no_spread_and_pay_exp_of_their_product():
    layer = layer_input(heads=1, group=1, decided_at=torch.full((20,), 20))
    query = layer.queries[:, :1]
    scores = ExpectedAttention(refresh=19).score(replace(layer, queries=query.expand(1, 20, 8)))
    paid = (0.5 * (layer.keys @ query[0, 0])).exp()
    norms = layer.values.norm(dim=-1)
    # Decided after query 19, the last refresh is at 19.
    torch.testing.assert_close(scores, paid / paid.mean() * norms / norms.mean(), rtol=2.0**-13, atol=0)


def test_a_query_that_varies_is_expected_to_pay_more():
    generator = torch.Generator().manual_seed(2)
    queries = torch.randn(1, 4000, 8, generator=generator, dtype=torch.float64)
    layer = layer_input(4000, 1, 1, queries=queries, decided_at=torch.full((4000,), 4000))
    layer = replace(layer, values=torch.ones_like(layer.values))
    scores = ExpectedAttention(refresh=3999).score(layer)[0]
    paid = (0.5 * (queries[0] @ layer.keys[0, :5].T)).exp().mean(0)
    ratio = scores[:5] / paid
    torch.testing.assert_close(ratio / ratio.mean(), torch.ones(5, dtype=torch.float64), rtol=0.1, atol=0)


@pytest.mark.parametrize(("position", "refreshed"), [(0, 2), (1, 2), (2, 4), (5, 4), (6, 8), (9, 8), (10, 12)])
def test_a_score_looks_at_what_came_before_the_last_refresh(position, refreshed):
    layer = layer_input()  # position j is decided after query j + 2
    scores = ExpectedAttention(refresh=4).score(layer)[:, position]

    def changed(at):
        queries = layer.queries.clone()
        queries[:, at] += 1
        return ExpectedAttention(refresh=4).score(replace(layer, queries=queries))[:, position]

    assert torch.equal(changed(slice(refreshed + 1, None)), scores)
    assert not torch.equal(changed(slice(refreshed, refreshed + 1)), scores)


def test_sinks_are_left_out_of_the_statistics():
    layer = layer_input(n_sink=2)
    scores = ExpectedAttention().score(layer)
    queries = layer.queries.clone()
    queries[:, :2] += 5
    other = ExpectedAttention().score(replace(layer, queries=queries))
    assert torch.equal(scores[:, 3:], other[:, 3:]) and not torch.equal(
        ExpectedAttention().score(replace(layer, n_sink=0))[:, 3:], scores[:, 3:]
    )


def test_keys_that_are_equal_but_for_rounding_tie():
    layer = layer_input(1500, decided_at=torch.full((1500,), 1500))
    key = layer.keys[:, :1].float()
    noise = 1e-7 * torch.randn(2, 1500, 8, generator=torch.Generator().manual_seed(1))
    alike = replace(
        layer,
        queries=layer.queries.float(),
        keys=key * (1 + noise),
        values=layer.values[:, :1].expand(2, 1500, 8).float(),
    )
    scores = ExpectedAttention().score(alike)
    # The logits differ in their seventh digit; the scores take the step that lies nearest, or two where it is between.
    assert all(len(row.unique()) <= 2 for row in scores)
    apart = replace(alike, keys=key * (1 + 1e4 * noise))
    assert all(len(row.unique()) > 10 for row in ExpectedAttention().score(apart))
