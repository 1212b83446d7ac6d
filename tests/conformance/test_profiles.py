"""The profile of every family is that of the model's own eager attention; under eviction, that of decoding."""

import math

import pytest
import torch

import keepmap
from keepmap.errors import InputError, ModelError
from keepmap.kv.eviction.evict import evict
from keepmap.language_model import load_language_model
from tests.conformance.test_models import state
from tests.families import FAMILIES, build, tokens
from tests.reference import scores
from tests.reference.attention import statistics
from tests.reference.decode import decode
from tests.reference.rules import Rule

N = 90


def eager(model, ids, **inputs):
    """The model's own attention weights [L, H, N, N], as transformers gives them."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            result = model(input_ids=ids, output_attentions=True, use_cache=False, **inputs).attentions
    finally:
        model.set_attn_implementation(before)
    return torch.cat(result).double()


def compare(profile, weights, tolerance=2e-5, every=False):
    """Everything, of the layers, heads and queries that the profile has. (Eager's softmax is in float32.)"""
    for at, layer in enumerate(profile.layers):
        own = weights[layer, list(profile.heads)]
        expected = statistics(own, own > 0, profile.n_sink, profile.window, profile.measured.tolist())
        names = vars(expected) if every else ("n_visible", "received", "entropy", "sink_mass", "window_mass")
        for name in names:
            result = getattr(profile, name)[at].double()
            torch.testing.assert_close(
                result, getattr(expected, name).double(), rtol=tolerance, atol=tolerance, equal_nan=True
            )
        torch.testing.assert_close(profile.rows[at].double(), own[:, profile.queries], rtol=0, atol=tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_equals_its_own_eager_attention(family):
    model = build(family)
    profile = keepmap.profile_attention(model, tokens(N), window=20)
    weights = eager(model, tokens(N)[None])
    compare(profile, weights, every=family in ("llama", "gemma2", "gpt_oss"))
    mass = profile.mass([0, 3, 50])
    torch.testing.assert_close(mass.double(), weights[..., [0, 3, 50]].sum(-1), rtol=0, atol=1e-6)
    result = profile.map(1, 2, size=7)
    edges = result.edges
    cell = weights[1, 2][edges[4] : edges[5], edges[2] : edges[3]]
    assert result.mean[4, 2] == pytest.approx(float(cell.mean()), abs=1e-6)
    assert result.maximum[4, 2] == pytest.approx(float(cell.max()), abs=1e-6)
    assert profile.received.dtype == torch.float64


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_oss"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_other_precisions(family, dtype):
    model = build(family, dtype)
    profile = keepmap.profile_attention(model, tokens(N))
    assert profile.entropy.dtype == torch.float32
    weights = eager(model, tokens(N)[None])
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(profile.rows[:, :, 0].double(), weights[:, :, -1], rtol=0, atol=tolerance)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_left_out(side):
    model = build("llama", torch.float32)  # in float64, eager makes NaN of padding that comes first
    padding, real = torch.zeros(9, dtype=torch.int64), tokens(40)
    ids = torch.cat([padding, real] if side == "left" else [real, padding])[None]
    mask = (torch.arange(49) >= 9) if side == "left" else (torch.arange(49) < 40)
    weights = eager(model, ids, attention_mask=mask[None].long())[:, :, mask][..., mask]
    profile = keepmap.profile_attention(model, {"input_ids": ids, "attention_mask": mask[None].long()})
    assert profile.shape == (2, 4, 40)
    compare(profile, weights, 1e-3)
    hole = mask.clone()
    hole[20] = False
    with pytest.raises(InputError, match="inside the text"):
        keepmap.profile_attention(model, {"input_ids": ids, "attention_mask": hole[None]})


@pytest.mark.parametrize(
    ("family", "method", "rule", "score"),
    [
        ("llama", "streaming_llm", {"threshold": 1.0}, scores.streaming_llm),
        ("gemma2", "key_norm", {"density": 0.3}, scores.key_norm),
        ("gpt_oss", "streaming_llm", {"density": 0.2}, scores.streaming_llm),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_an_evicted_model_is_profiled_as_decoding_sees(family, method, rule, score):
    model = build(family)
    language_model = load_language_model(model)
    eviction = evict(language_model, tokens(N), method, **rule, n_sink=2, window=9)
    truth = decode(model, tokens(N), score, Rule(**rule, n_sink=2, window=9), 1, growing=False)
    assert torch.equal(eviction.keep_map.expires, truth.expires)
    profile = keepmap.profile_attention(language_model, tokens(N), keep_map=eviction.keep_map, window=9)
    compare(profile, truth.attention.double(), every=True)
    kept = profile.mass(eviction.keep_map)
    full = profile.rows.sum(-1)[:, :, 0]
    torch.testing.assert_close(kept[..., -1], full, rtol=0, atol=1e-9)
    assert profile.info["evicted_by"] == method


def test_what_share_of_the_attention_a_method_keeps():
    model = build("llama")
    language_model = load_language_model(model)
    keep_map = evict(language_model, tokens(N), "streaming_llm", n_sink=4, window=19).keep_map
    profile = keepmap.profile_attention(language_model, tokens(N), heads=[1, 3])
    weights = eager(model, tokens(N)[None])[:, [1, 3]]
    position = torch.arange(N)
    expires = keep_map.expires.repeat_interleave(2, 1)[:, [1, 3]]
    expected = (weights * (position[:, None] < expires[:, :, None])).sum(-1)
    torch.testing.assert_close(profile.mass(keep_map), expected, rtol=0, atol=1e-6)
    near = (position[:, None] - position < 20) | (position < 4)
    torch.testing.assert_close(profile.mass(keep_map), (weights * near).sum(-1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("queries", ["last", 7, [3, 80, 41], torch.tensor([5])], ids=str)
def test_some_queries_some_layers_some_heads(queries):
    model = build("llama")
    profile = keepmap.profile_attention(model, tokens(N), queries=queries, layers=1, heads=[0, 3], seed=5)
    assert (profile.layers, profile.heads, profile.kv_heads) == ((1,), (0, 3), (0, 1))
    compare(profile, eager(model, tokens(N)[None]), every=True)
    if queries == 7:
        assert len(profile.queries) == 7 and "7 of 90 queries, sampled with seed 5" in repr(profile)
        again = keepmap.profile_attention(model, tokens(N), queries=7, layers=1, heads=[0, 3], seed=6)
        assert not torch.equal(again.queries, profile.queries)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_left_as_found_also_when_the_pass_ends_early(training):
    model = build("gemma3").train(training)
    before = state(model)
    keepmap.profile_attention(model, tokens(30), layers=[0])
    assert state(model) == before
    with pytest.raises(InputError):
        keepmap.profile_attention(model, tokens(30), layers=[7])
    assert state(model) == before


def test_only_the_layers_that_are_needed_are_run():
    model = build("gemma3")
    ran = []
    for index, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, index=index: ran.append(index))
    keepmap.profile_attention(model, tokens(30))
    ran.clear()
    keepmap.profile_attention(model, tokens(30), layers=[1])
    assert ran == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 2}, r"expected `layers` to be in 0\.\.1, which the model has, got 2"),
        ({"layers": [0, -1]}, "got -1"),
        ({"layers": []}, "expected `layers` to name one or more, got none"),
        ({"heads": [0, 4]}, r"expected `heads` to be in 0\.\.3, which the model has, got 4"),
        ({"queries": "lst"}, 'did you mean "last"'),
        ({"queries": 0}, r"expected `queries` to be 1\.\.30 rows to sample, got 0"),
        ({"queries": 31}, r"expected `queries` to be 1\.\.30 rows to sample, got 31"),
        ({"queries": [30]}, r"expected `queries` to be in 0\.\.29, got \[30\]"),
        ({"queries": [0.5]}, "a number of rows or positions"),
        ({"queries": []}, "a number of rows or positions"),
        ({"n_sink": -1}, "expected `n_sink` to be an integer of 0 or more, got -1"),
        ({"window": 0}, "expected `window` to be an integer of 1 or more, got 0"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_one_line(options, message):
    with pytest.raises(InputError, match=message) as raised:
        keepmap.profile_attention(build("llama"), tokens(30), **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.empty(0, dtype=torch.int64), "expected `inputs` to be a text of one token or more, got none"),
        (tokens(1), "expected a context of two positions or more, got 1"),
        (torch.zeros(2, 9, dtype=torch.int64), "the tokens of 2 texts"),
        (
            torch.tensor([3, 10_000]),
            r"expected `inputs` to be token ids in 0\.\.396, which the model has, got 3\.\.10000",
        ),
        ("words", "has no tokenizer"),
        ({"attention_mask": torch.ones(3)}, "to hold input_ids, got a mapping with attention_mask"),
        ({"input_ids": torch.ones(2, 3), "attention_mask": torch.ones(2, 3)}, "one text"),
        (object(), "got an object"),
    ],
    ids=lambda value: "object" if type(value) is object else str(value),
)
def test_inputs_that_make_no_sense_are_one_line(inputs, message):
    with pytest.raises(InputError, match=message) as raised:
        keepmap.profile_attention(build("llama"), inputs)
    assert "\n" not in str(raised.value)


def test_damaged_weights_and_foreign_maps_are_refused():
    model = build("llama")
    keep_map = evict(load_language_model(model), tokens(20), "streaming_llm", window=5).keep_map
    with pytest.raises(InputError, match="from the same text"):
        keepmap.profile_attention(model, tokens(30), keep_map=keep_map)
    with pytest.raises(InputError, match="does not fit a profile"):
        keepmap.profile_attention(model, tokens(30)).mass(keep_map)
    damaged = build("llama")
    damaged.model.layers[1].self_attn.q_proj.weight.data[0, 0] = math.nan
    with pytest.raises(ModelError, match="weights are damaged"):
        keepmap.profile_attention(damaged, tokens(30))
