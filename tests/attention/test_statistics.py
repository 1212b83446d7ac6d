"""Statistics from blocks against the definition, entry by entry: small blocks, so that every path is taken."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.attention import blocks as blocks_module
from keepmap.attention.layer import AttentionLayer, causal
from keepmap.attention.maps import attention_map, mass_in, mass_kept
from keepmap.attention.statistics import attend, layer_statistics
from keepmap.errors import ModelError
from tests.reference.attention import dense_weights, statistics


def normal(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@st.composite
def attention_layers(draw, most=150):
    """An AttentionLayer of any kind, and what each of its heads sees, [H, N, N]."""
    kv_heads, group, n = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(2, most))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    heads, position = kv_heads * group, torch.arange(n)
    starts, ends = causal(n)
    own_window = draw(st.sampled_from([None, 1, 3, 70]))
    if own_window is not None:
        starts = (position - own_window + 1).clamp(min=0)
    if draw(st.integers(0, 3)) == 0:
        ends = torch.full_like(ends, n)
    visible = ((position >= starts[:, None]) & (position < ends[:, None])).expand(heads, n, n)
    expires = bias = None
    if draw(st.booleans()):
        lifetime = 1 + torch.randint(0, draw(st.sampled_from([1, 6, 200])), (kv_heads, n), generator=generator)
        expires = torch.minimum(position + lifetime, torch.tensor(n))
        visible = visible & (position[:, None] < expires.repeat_interleave(group, 0)[:, None])
    if draw(st.integers(0, 2)) == 0:
        bias = normal(generator, draw(st.sampled_from([1, heads])), n, n)
        hidden = (torch.rand(bias.shape, generator=generator) < 0.3) & ~torch.eye(n, dtype=torch.bool)
        bias = bias.masked_fill(hidden, -math.inf)
        visible = visible & ~hidden
    layer = AttentionLayer(
        layer=0,
        queries=normal(generator, heads, n, 4) * draw(st.sampled_from([0.0, 1.0, 30.0])),
        keys=normal(generator, kv_heads, n, 4),
        scaling=draw(st.sampled_from([0.5, 2.0])),
        sees_from=starts,
        sees_until=ends,
        expires=expires,
        bias=bias,
        softcap=draw(st.sampled_from([None, None, 2.0])),
        sinks=normal(generator, heads) * 3 if draw(st.integers(0, 3)) == 0 else None,
    )
    return layer, visible


def dense(layer, visible):
    return dense_weights(layer.queries, layer.keys, visible, layer.scaling, layer.softcap, layer.sinks, layer.bias)


@pytest.fixture(autouse=True, scope="module", params=["small blocks", "whole blocks"])
def block_size(request):
    """Blocks of a few rows, or of all."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "small blocks":
            patch.setattr(blocks_module, "BLOCK_WEIGHTS", {"cpu": 700})
            patch.setattr(blocks_module, "BLOCK_ROWS", {"cpu": (1, 11)})
        yield


def close(measured, expected, tolerance=1e-11):
    torch.testing.assert_close(measured.double(), expected.double(), rtol=tolerance, atol=tolerance, equal_nan=True)


@settings(max_examples=60)
@given(attention_layers(most=90), st.integers(0, 9), st.integers(1, 30), st.data())
def test_equals_the_definition(case, n_sink, window, data):
    layer, visible = case
    measured = data.draw(st.lists(st.integers(0, layer.n - 1), min_size=1, max_size=7, unique=True).map(sorted))
    measured = data.draw(st.sampled_from([measured, list(range(layer.n))]))
    weights = dense(layer, visible)
    kept = [measured[0], measured[-1]]
    values = torch.randn(layer.n_kv_heads, layer.n, 3, dtype=torch.float64)
    result, out = layer_statistics(
        layer, torch.tensor(measured), torch.tensor(kept), n_sink=n_sink, window=window, values=values
    )
    least = weights.amax(-1, keepdim=True) * torch.finfo(torch.float64).tiny ** 0.92
    expected = statistics(weights.maximum(least * visible), visible, n_sink, window, measured)
    for field in dataclasses.fields(expected):
        name = field.name
        tolerance = 1e-7 if name == "std" else 1e-10  # the root of what rounding leaves of a variance of 0
        close(getattr(result, name), getattr(expected, name), tolerance)
    close(result.rows, weights[:, kept])
    at = result.max_position[:, measured]
    close(weights[:, measured].gather(2, at[..., None])[..., 0], weights[:, measured].amax(-1))
    group = layer.group
    close(out[:, measured], (weights @ values.repeat_interleave(group, 0))[:, measured])
    close(attend(layer, values), weights @ values.repeat_interleave(group, 0))


@settings(max_examples=40)
@given(attention_layers(), st.data())
def test_masses_are_sums_of_weights(case, data):
    layer, visible = case
    weights = dense(layer, visible)
    positions = data.draw(st.lists(st.integers(0, layer.n - 1), max_size=9, unique=True))
    measured = torch.tensor(data.draw(st.lists(st.integers(0, layer.n - 1), min_size=1, max_size=9, unique=True)))
    measured = measured.sort().values
    result, _ = layer_statistics(layer, measured, measured[-1:], n_sink=0, window=1)
    mass = mass_in(layer, result.log_sum_exp, measured, torch.tensor(positions, dtype=torch.int64))
    close(mass[:, measured], weights[:, measured][..., positions].sum(-1))
    assert int(mass.isnan().sum()) == layer.n_heads * (layer.n - len(measured))
    expires = torch.randint(1, layer.n + 1, (layer.n_kv_heads, layer.n))
    alive = torch.arange(layer.n)[:, None] < expires.repeat_interleave(layer.group, 0)[:, None]
    close(mass_kept(layer, expires, measured)[:, measured], (weights * alive).sum(-1)[:, measured])


@settings(max_examples=40)
@given(attention_layers(), st.integers(1, 170))
def test_a_map_is_the_mean_and_the_maximum_of_each_cell(case, size):
    layer, visible = case
    head = layer.n_heads - 1
    weights = dense(layer, visible)[head].numpy()
    cells = attention_map(layer.with_heads(torch.tensor([head])), size)
    assert len(cells.edges) == min(size, layer.n) + 1
    assert set(np.diff(cells.edges)) <= {layer.n // min(size, layer.n), -(-layer.n // min(size, layer.n))}
    for r in range(len(cells.edges) - 1):
        for c in range(len(cells.edges) - 1):
            cell = weights[cells.edges[r] : cells.edges[r + 1], cells.edges[c] : cells.edges[c + 1]]
            assert cells.mean[r, c] == pytest.approx(cell.mean(), abs=1e-12)
            assert cells.maximum[r, c] == pytest.approx(cell.max(), abs=1e-12)


@settings(max_examples=30)
@given(attention_layers())
def test_float32_is_as_good_as_float32_can_be(case):
    layer, visible = case
    weights = dense(layer, visible)
    narrow = dataclasses.replace(
        layer,
        queries=layer.queries.float(),
        keys=layer.keys.float(),
        bias=None if layer.bias is None else layer.bias.float(),
        sinks=None if layer.sinks is None else layer.sinks.float(),
    )
    result, _ = layer_statistics(narrow, torch.arange(layer.n), torch.tensor([layer.n - 1]), n_sink=2, window=5)
    assert result.entropy.dtype == torch.float32
    close(result.rows[:, 0], weights[:, -1], 2e-4)
    normalised = weights / weights.sum(-1, keepdim=True)
    close(result.entropy, -torch.special.xlogy(normalised, normalised).sum(-1), 2e-3)


@pytest.mark.parametrize("group", [1, 2])
def test_intervals_and_sets_are_measured_alike(group):
    """The fast way, where each query sees an interval, and the general one."""
    generator = torch.Generator().manual_seed(3)
    starts, ends = causal(400)
    starts = (starts.cumsum(0) + torch.arange(400) - 250).clamp(min=0)
    interval = AttentionLayer(
        layer=0,
        queries=normal(generator, 2 * group, 400, 4) * 3,
        keys=normal(generator, 2, 400, 4),
        scaling=0.5,
        sees_from=starts,
        sees_until=ends,
    )
    general = dataclasses.replace(interval, expires=torch.full((2, 400), 400))
    every, last = torch.arange(400), torch.tensor([7, 399])
    by_interval, _ = layer_statistics(interval, every, last, n_sink=4, window=90)
    other, _ = layer_statistics(general, every, last, n_sink=4, window=90)
    for name in vars(by_interval):
        close(getattr(by_interval, name), getattr(other, name), 1e-9)


def test_what_cannot_be_a_softmax_is_refused():
    generator = torch.Generator().manual_seed(0)
    layer = AttentionLayer(
        layer=5,
        queries=normal(generator, 2, 9, 4),
        keys=normal(generator, 2, 9, 4),
        scaling=0.5,
        sees_from=causal(9)[0],
        sees_until=causal(9)[1],
    )
    every, last = torch.arange(9), torch.tensor([8])
    damaged = dataclasses.replace(layer, keys=torch.full_like(layer.keys, math.nan))
    with pytest.raises(ModelError, match="layer 5: its attention is NaN"):
        layer_statistics(damaged, every, last, n_sink=0, window=1)
    blind = dataclasses.replace(layer, bias=torch.zeros(1, 9, 9).index_fill(1, torch.tensor([3]), -math.inf))
    with pytest.raises(ModelError, match="layer 5: query 3 sees no position"):
        layer_statistics(blind, every, last, n_sink=0, window=1)


def test_progress_is_told_and_ends_at_one():
    generator = torch.Generator().manual_seed(0)
    layer = AttentionLayer(
        layer=0,
        queries=normal(generator, 2, 300, 4),
        keys=normal(generator, 1, 300, 4),
        scaling=0.5,
        sees_from=causal(300)[0],
        sees_until=causal(300)[1],
    )
    shares = []
    layer_statistics(layer, torch.arange(300), torch.tensor([9]), n_sink=0, window=1, progress=shares.append)
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == 1.0
