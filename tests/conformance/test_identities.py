"""What must hold between runs of the engine, whatever the reference says."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.kv.eviction.dense import dense
from keepmap.kv.eviction.evict import evict
from keepmap.kv.eviction.eviction import Eviction
from keepmap.kv.method import Method, method_class, method_names, methods
from keepmap.language_model import LanguageModel, load_language_model
from tests.conformance.cases import surrogate
from tests.families import FAMILIES, build, tokens

EVICTING = [name for name in method_names() if name != "baseline"]

PASS_INDEPENDENT = ("random", "streaming_llm")
"""Their scores are the same whatever was evicted before."""


@pytest.fixture(scope="module")
def llama() -> LanguageModel:
    return load_language_model(build("llama"))


def method_of(name: str, language_model: LanguageModel) -> str | Method:
    """The method itself where it needs a surrogate, else its name."""
    wanted = method_class(name)
    if not wanted.needs_surrogate:
        return name
    return wanted(surrogate(language_model.n_kv_heads).surrogate)  # type: ignore[call-arg]


def run(language_model: LanguageModel, name: str, n: int = 80, **options: float) -> Eviction:
    defaults = {"n_sink": 2, "window": 6}
    return evict(language_model, tokens(n), method_of(name, language_model), **defaults | options)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_eviction_it_is_the_model_itself(family):
    model = build(family)
    ids = tokens(100)
    with torch.no_grad():
        expected = model(ids[None], use_cache=False).logits[0]
    language_model = load_language_model(model)
    eviction = evict(language_model, ids, "baseline")
    # Families whose own attention is eager round their softmax to float32.
    torch.testing.assert_close(eviction.logits, expected, rtol=0, atol=3e-6)
    torch.testing.assert_close(language_model.head(dense(language_model, ids)), expected, rtol=0, atol=3e-6)
    assert eviction.keep_map.kept().all() and eviction.keep_map.density() == eviction.keep_map.footprint() == 1.0


@pytest.mark.parametrize("name", EVICTING)
@pytest.mark.parametrize("rule", [{"threshold": -math.inf}, {"density": 1.0}, {"budget": 10_000}], ids=str)
@pytest.mark.parametrize("chunk_size", [1, 16])
def test_a_rule_that_drops_nothing_is_the_baseline(llama, name, rule, chunk_size):
    result, baseline = run(llama, name, **rule, chunk_size=chunk_size), run(llama, "baseline")
    torch.testing.assert_close(result.logits, baseline.logits, rtol=0, atol=1e-9)
    assert (result.keep_map.expires == 80).all() and result.keep_map.held.all()


@pytest.mark.parametrize("name", EVICTING)
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_a_chunk_as_long_as_the_text_is_the_baseline_and_is_decided_after_it(family, name):
    language_model = load_language_model(build(family))
    for chunk_size in (80, 81, 10_000):
        result = run(language_model, name, density=0.2, chunk_size=chunk_size)
        assert (result.keep_map.expires == 80).all()
        assert not result.keep_map.held.all()
        torch.testing.assert_close(result.logits, run(language_model, "baseline").logits, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", EVICTING)
def test_a_method_that_dropped_something_changes_the_logits(llama, name):
    result, baseline = run(llama, name, density=0.1), run(llama, "baseline")
    assert (result.keep_map.expires < 80).any()
    assert (result.logits - baseline.logits).abs().max() > 1e-3


@pytest.mark.parametrize("name", EVICTING)
def test_the_budget_rule_puts_every_method_at_the_same_density(llama, name):
    held = run(llama, name, density=0.25).keep_map.held[:, :, 2:74]
    each = held.sum(-1)
    if name == "pyramidkv":  # layers hold different numbers, each rounded up
        assert 18 * each.numel() <= each.sum() < 19 * each.numel()
    else:
        assert (each == 18).all()


@pytest.mark.parametrize("chunk_size", [1, 7, 128])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_oss"])
def test_streaming_llm_is_random_with_a_threshold_of_1_to_the_last_bit(family, chunk_size):
    language_model = load_language_model(build(family, torch.float32))
    streaming = run(language_model, "streaming_llm", chunk_size=chunk_size, n=200)
    validation = run(language_model, "random_validation", chunk_size=chunk_size, n=200)
    above = run(language_model, "random", threshold=1.0, chunk_size=chunk_size, n=200)
    for other in (validation, above):
        assert torch.equal(streaming.logits, other.logits)
        assert torch.equal(streaming.keep_map.expires, other.keep_map.expires)
        assert torch.equal(streaming.keep_map.held, other.keep_map.held)


@pytest.mark.parametrize("name", ["streaming_llm", "random_validation"])
def test_the_example_of_1024_tokens(llama, name):
    keep_map = evict(llama, tokens(1024), name).keep_map  # the defaults: 4 sinks, window 128
    assert (keep_map.held.sum(-1) == 132).all()
    assert (keep_map.n_sink, keep_map.window) == (4, 128)
    assert keep_map.density() == pytest.approx(132 / 1024)
    assert keep_map.compressible_density() == 0.0
    position = torch.arange(1024)
    expected = torch.where((position < 4) | (position + 129 > 1024), 1024, position + 129)
    assert (keep_map.expires == expected).all()


def test_streaming_llm_under_a_budget_keeps_the_most_recent(llama):
    held = run(llama, "streaming_llm", density=0.5).keep_map.held
    assert held[0, 0].nonzero().flatten().tolist() == [0, 1, *range(38, 80)]


@pytest.mark.parametrize("name", PASS_INDEPENDENT)
@pytest.mark.parametrize(
    ("rule", "chunk_size"),
    # Under a budget, coarser steps know more when they drop: only exact decoding has this property then.
    [({"threshold": 0.5}, 1), ({"threshold": 0.5}, 7), ({"density": 0.3}, 1), ({"budget": 9}, 1)],
    ids=str,
)
def test_a_longer_window_never_makes_an_entry_expire_earlier(llama, name, rule, chunk_size):
    expires = [
        run(llama, name, **rule, window=window, chunk_size=chunk_size).keep_map.expires for window in (0, 1, 5, 40, 200)
    ]
    for shorter, longer in zip(expires, expires[1:], strict=False):
        assert (longer >= shorter).all()


def test_draws_depend_on_nothing_but_seed_layer_head_and_position(llama):
    expected = run(llama, "random", n=150).keep_map.scores
    for options in ({"chunk_size": 7}, {"chunk_size": 1000}, {"window": 0}, {"n_sink": 0}, {"density": 0.1}):
        assert torch.equal(run(llama, "random", **options, n=150).keep_map.scores, expected)
    assert torch.equal(run(llama, "random", n=60).keep_map.scores, expected[:, :, :60])
    other_model = load_language_model(build("mistral", torch.float32, seed=5))
    assert torch.equal(run(other_model, "random", n=150).keep_map.scores, expected)
    assert not torch.equal(run(llama, "random", seed=1, n=150).keep_map.scores, expected)


def test_draws_are_uniform_and_independent(llama):
    n = 1000
    drawn = torch.stack([run(llama, "random", seed=seed, n=n).keep_map.scores for seed in range(5)]).double()
    assert drawn.min() >= 0 and drawn.max() < 1
    # Kolmogorov-Smirnov against the uniform distribution, at the level of 1 in 10,000.
    ordered = drawn.flatten().sort().values
    steps = torch.arange(1, len(ordered) + 1) / len(ordered)
    assert (ordered - steps).abs().max() < 2.23 / math.sqrt(len(ordered))
    # Between any two of (seed, layer, head), and between neighbours in a row.
    rows = drawn.reshape(-1, n)
    correlation = torch.corrcoef(rows) - torch.eye(len(rows))
    assert correlation.abs().max() < 5 / math.sqrt(n)
    assert torch.corrcoef(torch.stack([rows[:, 1:].flatten(), rows[:, :-1].flatten()]))[0, 1].abs() < 5 / 140


@settings(max_examples=15)
@given(st.data())
def test_what_comes_later_changes_nothing_before(data):
    """A text that was cut short gives the same logits: no score looks ahead of its decision, but an oracle's."""
    name = data.draw(st.sampled_from([name for name in EVICTING if methods()[name].needs != "future"]))
    chunk = data.draw(st.sampled_from([1, 4]))
    cut = 4 * data.draw(st.integers(3, 40))
    language_model = load_language_model(build("llama_mqa"))
    whole = run(language_model, name, n=170, density=0.3, chunk_size=chunk)
    part = run(language_model, name, n=cut, density=0.3, chunk_size=chunk)
    torch.testing.assert_close(part.logits, whole.logits[:cut], rtol=0, atol=1e-8)
    assert torch.equal(part.keep_map.expires, whole.keep_map.expires[:, :, :cut].clamp(max=cut))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("name", method_names())
def test_texts_shorter_than_the_protection(llama, name, n):
    result = run(llama, name, n=n)
    assert result.logits.shape == (n, llama.vocab_size)
    assert result.keep_map.held.all()


@pytest.mark.parametrize("name", method_names())
def test_the_map_says_what_made_it(llama, name):
    keep_map = run(llama, name, chunk_size=3, seed=7).keep_map
    wanted = {"method", "label", "model", "rule", "density", "budget", "chunk_size", "seed"}
    assert wanted <= set(keep_map.info)
    assert (keep_map.info["method"], keep_map.info["label"]) == (name, method_class(name).label)
    assert (keep_map.info["chunk_size"], keep_map.info["seed"]) == (3, 7)
    assert (keep_map.n_sink, keep_map.window) == (2, 6)
