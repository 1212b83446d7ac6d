"""One layer's evicting attention against the definition, entry by entry: small blocks, so that every path is taken."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.kv.eviction.attention import evicting_attention
from keepmap.kv.eviction.evict import evict
from keepmap.language_model import load_language_model
from tests.families import build, tokens
from tests.reference import scores
from tests.reference.decode import decode
from tests.reference.rules import Rule


def one_by_one(queries, keys, values, expires, sees_from, scaling, softcap, sinks):
    """Query i of head h over the positions j with sees_from[i] <= j <= i < expires[g, j], and the sink."""
    heads, n, _ = queries.shape
    group = heads // keys.shape[0]
    out = torch.zeros(heads, n, values.shape[2], dtype=queries.dtype)
    for h in range(heads):
        g = h // group
        for i in range(n):
            seen = [j for j in range(int(sees_from[i]), i + 1) if i < int(expires[g, j])]
            logits = torch.stack([scaling * queries[h, i] @ keys[g, j] for j in seen])
            if softcap is not None:
                logits = softcap * torch.tanh(logits / softcap)
            if sinks is not None:
                logits = torch.cat([logits, sinks[h : h + 1]])
            weights = torch.softmax(logits, 0)
            out[h, i] = sum(weights[k] * values[g, j] for k, j in enumerate(seen))
    return out


@st.composite
def layers(draw):
    """(queries, keys, values, expires, sees_from), and the rest by name."""
    kv_heads, group, n = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 60))
    dim, value_dim = draw(st.sampled_from([(4, 4), (4, 3)]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    position = torch.arange(n)
    # Heads that differ much in how much they hold; some entries for a step, some for ever.
    stays = torch.rand(kv_heads, 1, generator=generator) ** 2
    ever = torch.rand(kv_heads, n, generator=generator) < stays
    lifetime = 1 + torch.randint(0, draw(st.sampled_from([1, 4, 60])), (kv_heads, n), generator=generator)
    expires = torch.where(ever, n, torch.minimum(position + lifetime, torch.tensor(n)))
    own_window = draw(st.sampled_from([None, 1, 3, 17]))
    sees_from = torch.zeros(n, dtype=torch.int64) if own_window is None else (position - own_window + 1).clamp(min=0)
    tensors = normal(kv_heads * group, n, dim), normal(kv_heads, n, dim), normal(kv_heads, n, value_dim)
    return (*tensors, expires, sees_from), {
        "scaling": draw(st.sampled_from([0.5, 3.0])),
        "softcap": draw(st.sampled_from([None, 2.0])),
        "sinks": normal(kv_heads * group) if draw(st.booleans()) else None,
    }


@settings(max_examples=80)
@given(layers(), st.integers(1, 9))
def test_equals_the_definition(layer, block):
    tensors, options = layer
    expected = one_by_one(*tensors, **options)
    torch.testing.assert_close(evicting_attention(*tensors, **options, block=block), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("family", "rule", "chunk_size"),
    [
        ("llama", {"threshold": 0.7}, 1),
        ("llama_mqa", {"density": 0.2}, 1),
        ("gemma3", {"threshold": 0.7}, 7),
        ("gpt_oss", {"budget": 40}, 128),
    ],
    ids=str,
)
def test_texts_of_several_stretches_of_blocks(family, rule, chunk_size):
    """Long enough for the keys to be packed anew on the way."""
    n = 1100 if chunk_size == 1 else 2000
    model = build(family)
    layers, heads = model.config.num_hidden_layers, model.config.num_key_value_heads
    score = scores.random(layers, heads, n, 3)
    truth = decode(model, tokens(n), score, Rule(**rule, n_sink=4, window=20), chunk_size, growing=False)
    eviction = evict(
        load_language_model(model), tokens(n), "random", **rule, n_sink=4, window=20, chunk_size=chunk_size, seed=3
    )
    assert torch.equal(eviction.keep_map.expires, truth.expires)
    assert torch.equal(eviction.keep_map.held, truth.held)
    torch.testing.assert_close(eviction.logits, truth.logits, rtol=0, atol=5e-7)


def test_a_window_of_the_models_own_that_ends_within_a_stretch():
    """Later queries of the stretch no longer see what its first one sees."""
    model = build("mistral")
    model.config.sliding_window = 1100
    truth = decode(model, tokens(1300), scores.streaming_llm, Rule(threshold=-math.inf), 128, growing=False)
    eviction = evict(load_language_model(model), tokens(1300), "baseline")
    torch.testing.assert_close(eviction.logits, truth.logits, rtol=0, atol=5e-7)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("name", "score"), [("h2o", scores.h2o), ("observed_attention", scores.observed_attention)])
@pytest.mark.parametrize("options", [{"budget": 2}, {"density": 0.3}, {"threshold": 0.02}], ids=str)
def test_received_attention_where_what_went_had_all_the_weight(name, score, options, dtype):
    """Logits hundreds apart: without the keys that are gone, a row's sum vanishes beside them."""
    model = build("llama", dtype)
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data *= 40
    rule = Rule(**options, n_sink=0, window=3)
    truth = decode(model, tokens(160), score, rule, 1, growing=True)
    eviction = evict(load_language_model(model), tokens(160), name, **options, n_sink=0, window=3)
    if dtype == torch.float64:
        assert torch.equal(eviction.keep_map.expires, truth.expires)
        torch.testing.assert_close(eviction.keep_map.scores.double(), truth.scores, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(eviction.logits, truth.logits, rtol=0, atol=1e-5)
    else:  # a near-tie may go either way; nothing is NaN, infinite or more than there is to receive
        assert torch.isfinite(eviction.logits).all()
        most = math.inf if name == "h2o" else 1.0 + 1e-5
        assert eviction.keep_map.scores.min() >= 0 and eviction.keep_map.scores.max() <= most
