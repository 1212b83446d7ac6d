"""The contract's one line, the softmax with a sink, and blocks that change nothing. (All families: conformance.)"""

import pytest
import torch

from keepmap.kv.eviction.attention import evicting_attention, probabilities, visible
from tests.kv.eviction.calls import layer_call, obvious_output


def test_visible_is_the_contract():
    positions, expires = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[4, 2, 3, 4]])
    queries = torch.arange(4)[:, None]
    seen = visible(positions, expires, queries, None)
    assert seen.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]
    barred = visible(positions, expires, queries, torch.tensor([[0], [0], [1], [2]]))
    assert barred.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_a_sink_takes_its_share_and_gives_nothing():
    scores = torch.tensor([[[0.0, 1.0, -torch.inf]]], dtype=torch.float64)
    torch.testing.assert_close(probabilities(scores, None), torch.softmax(scores, -1))
    sinks = torch.full((1, 1, 1), 3.0, dtype=torch.float64)
    expected = torch.softmax(torch.cat([scores, sinks], -1), -1)[..., :3]
    torch.testing.assert_close(probabilities(scores, sinks), expected)


@pytest.mark.parametrize("block", [1, 7, 64])
@pytest.mark.parametrize(
    "options", [{}, {"own_window": 9}, {"softcap": 2.0}, {"with_sinks": True}, {"kv_heads": 4}], ids=str
)
def test_equals_the_whole_matrix_whatever_the_block(options, block):
    call = layer_call(40, **options)
    heads = call.keys.shape[0]
    generator = torch.Generator().manual_seed(1)
    lifetime = torch.randint(1, 50, (heads, 40), generator=generator)
    expires = (torch.arange(40) + lifetime).clamp(max=40)
    result = evicting_attention(
        call.queries,
        call.keys,
        call.values,
        expires,
        call.sees_from,
        scaling=call.scaling,
        softcap=call.softcap,
        sinks=call.sinks,
        block=block,
    )
    torch.testing.assert_close(result, obvious_output(call, expires), rtol=1e-11, atol=1e-11)
