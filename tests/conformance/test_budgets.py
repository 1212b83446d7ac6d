"""Budgets that heads share: as a decoding reference says, in every mode, in `evict` and in the cache that generates."""

import math
import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import keepmap
from keepmap.errors import InputError
from keepmap.kv.budgets import Budget, Table, as_spread, shares_in_layer
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.choosing import Protection, choose, rule_in_layer
from tests.conformance.cases import Case, by_engine, by_reference, model_of
from tests.conformance.test_cache import PROMPT, N, assert_same, generate, new_cache, read, truth
from tests.conformance.test_engine import check
from tests.families import tokens
from tests.reference.budgets import gone
from tests.reference.rules import Rule

COVERS = ("keepmap.kv.budgets", "keepmap.kv.scoring.observed", "keepmap.kv.sharing")
SPREADS = ("layer", "pyramid", "table")
KINDS = ("random", "h2o", "snapkv")
"""One of each kind: fixed scores, received attention, and scores made anew."""
AT_ONCE = [("model", "random"), ("model", "h2o"), ("model", "snapkv"), ("layer", "snapkv"), ("table", "random")]


def cases(once: bool) -> Iterator[Case]:
    """Every spread with every kind, the rest drawn."""
    draw = random.Random(20_261_207)
    pairs = AT_ONCE if once else list(product(SPREADS, KINDS))
    for seed, (by, method) in enumerate(pairs):
        family, rule = draw.choice(("llama", "gemma2", "gpt_oss")), draw.choice(("density", "density", "budget"))
        chunk, context = (1, draw.choice((30, 38, N))) if once else (draw.choice((1, 1, 7)), None)
        yield Case(
            family, method, rule, chunk, draw.choice((0, 5)), draw.choice((0, 4)), N, seed, torch.float64, context, by
        )


@pytest.mark.parametrize("case", list(cases(once=False)), ids=str)
def test_the_engine_and_the_cache_decide_as_decoding_does(case: Case) -> None:
    check(case)
    ids, logits, keep_map = generate(case, tokens(PROMPT, case.seed))
    assert_same(keep_map, logits, truth(case, ids))
    cache = new_cache(case)
    logits = read(cache, tokens(N), [9, 1, 20, 1, 1, N - 32])
    assert_same(cache.keep_map(), logits, truth(case, tokens(N)))


@pytest.mark.parametrize("case", list(cases(once=True)), ids=str)
def test_a_cut_is_that_of_a_prefill_and_decoding(case: Case) -> None:
    true, result = by_reference(case), by_engine(case)
    keep_map = result.keep_map
    assert torch.equal(keep_map.expires, true.expires) and torch.equal(keep_map.held, true.held)
    torch.testing.assert_close(keep_map.scores.double(), true.scores, rtol=2.0**-12, atol=1e-5)
    torch.testing.assert_close(result.logits.double(), true.logits.double(), rtol=0, atol=5e-7)
    cache, context = new_cache(case), case.context_length or 0
    logits = read(cache, tokens(N, case.seed), [10, context - 10, *([1, N - context - 1] if context < N else [])])
    assert_same(cache.keep_map(), logits, truth(case, tokens(N, case.seed)))


@pytest.mark.parametrize("by", ["layer", "model", "pyramid", "table"])
def test_all_heads_together_hold_what_was_asked_for(by: str) -> None:
    case = Case("gemma2", "h2o", "density", 1, 5, 4, 65, seed=1, context_length=65, by=by)
    keep_map = by_engine(case).keep_map
    layers, heads, _ = keep_map.shape
    held = keep_map.held[:, :, 4:60].sum(dim=2)
    assert len(held.unique()) > 1, "some heads hold more than others"
    even = 12  # a fifth of 56, rounded up
    if by in ("layer", "model"):
        assert int(held.sum()) == layers * heads * even
        assert by == "model" or (held.sum(dim=1) == heads * even).all()
        assert by == "model" or int(held.min()) >= 2
    # Parts that are no whole numbers are rounded up, head by head, as a density always is.
    assert 0 <= int(held.sum()) - layers * heads * 56 / 5 < layers * heads


def test_files_forks_and_another_model(tmp_path) -> None:
    case = Case("llama", "h2o", "density", 1, 5, 4, N, by="table")
    cache, ids = new_cache(case), tokens(N)
    read(cache, ids[:40], [40])
    cache.save(tmp_path / "cache.safetensors")
    for again in (EvictingCache.load(tmp_path / "cache.safetensors", model_of(case)), cache.fork()):
        logits = read(again, ids[40:], [1, N - 41])
        assert_same(again.keep_map(), logits, truth(case, ids))
    with pytest.raises(InputError, match="heads and layers all hold"):
        cache.to_dynamic()
    with pytest.raises(InputError, match="table of 3 layers with 2 KV heads each.*got one of 1 layers with 2"):
        keepmap.evict(
            model_of(Case("gemma2", "h2o", "density", 1, 0, 0, N)), ids, "h2o", density=0.5, budget_by=[[1, 2]]
        )


def test_a_call_that_goes_on_behind_a_cut_of_all_layers_is_refused() -> None:
    cache = new_cache(Case("llama", "h2o", "density", 1, 5, 4, N, context_length=50, by="model"))
    with pytest.raises(InputError, match="a call that ends with the context of 50 tokens.*got 51 tokens after 0"):
        read(cache, tokens(51), [51])
    read(cache, tokens(N), [50, N - 50])
    assert cache.report().peak_nbytes > cache.bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.2, "budget_by": "model"}, '`mode` to be "once" where `budget_by` is "model", got "decode"'),
        ({"budget_by": "layer", "threshold": 0.3}, "`density` or `budget` to be given with `budget_by`"),
        ({"density": 0.2, "budget_by": "layers"}, "one of head, layer, model, pyramid, or a file.*layer"),
        ({"density": 0.2, "budget_by": [[1, -2]]}, "numbers of 0 or more, got -2"),
        ({"density": 0.2, "budget_by": [[0, 0]]}, "all of its shares are 0"),
        ({"density": 0.2, "budget_by": 3}, "expected a list of layers"),
    ],
    ids=str,
)
def test_what_is_no_budget_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        keepmap.evict("tiny", list(range(9)), "random", **options)


@pytest.mark.parametrize(("method", "by"), [("adakv", "layer"), ("pyramidkv", "pyramid")])
def test_methods_with_a_budget_of_their_own_are_snapkv_under_it(method: str, by: str) -> None:
    language_model, ids = model_of(Case("llama", "h2o", "density", 1, 0, 0, N)), tokens(99)
    options = {"density": 0.3, "n_sink": 2, "window": 32, "mode": "once", "context_length": 90}
    own = keepmap.evict(language_model, ids, method, **options).keep_map
    assert own == keepmap.evict(language_model, ids, "snapkv", budget_by=by, **options).keep_map
    even = keepmap.evict(language_model, ids, method, budget_by="head", **options).keep_map
    assert own != even == keepmap.evict(language_model, ids, "snapkv", **options).keep_map


@st.composite
def fixed(draw) -> tuple[torch.Tensor, Rule, int]:
    """Scores [G, N] of a few levels, a budget that heads share, and a chunk size."""
    heads, n = draw(st.integers(1, 3)), draw(st.integers(0, 30))
    row = st.lists(st.sampled_from([-math.inf, -1.0, 0.0, -0.0, 0.5, 2.0]), min_size=n, max_size=n)
    scores = torch.tensor([draw(row) for _ in range(heads)], dtype=torch.float64).reshape(heads, n)
    size = draw(
        st.sampled_from([{"density": 0.0}, {"density": 0.3}, {"density": 0.77}, {"density": 1.0}, {"budget": 4}])
    )
    weights = st.lists(st.integers(0, 4), min_size=heads, max_size=heads)
    table = [draw(weights), [1] * heads]
    by = draw(st.sampled_from(["layer", "pyramid", "table"]))
    rule = Rule(
        **size, n_sink=draw(st.integers(0, 3)), window=draw(st.integers(0, 9)), by=table if by == "table" else by
    )
    return scores, rule, draw(st.integers(1, 12))


@given(fixed())
def test_fixed_scores_decide_as_obvious_loops_do(case: tuple[torch.Tensor, Rule, int]) -> None:
    scores, rule, chunk = case
    heads, n = scores.shape
    expires, held = torch.full((heads, n), n), torch.ones(heads, n, dtype=torch.bool)
    for start in range(0, n, chunk):
        end = min(start + chunk, n)
        for head, j in gone(scores, held, rule, start, end, 0, 2):
            held[head, j], expires[head, j] = False, end
    budget = Budget(rule.density, rule.budget, as_spread(rule.by))
    choice = choose(scores, rule_in_layer(budget, 0, 2, heads), Protection(rule.n_sink, rule.window), chunk)
    assert torch.equal(choice.expires, expires) and torch.equal(choice.held, held)


@given(st.integers(0, 100), st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_parts_have_the_mean_that_was_asked_for(percent: int, weights: list[int]) -> None:
    density = percent / 100
    spreads = ["pyramid", *([Table(tuple((float(weight),) for weight in weights))] if any(weights) else [])]
    for spread in spreads:
        parts = [
            shares_in_layer(Budget(density, by=spread), at, len(weights), 1).parts[0] for at in range(len(weights))
        ]
        assert sum(parts) == Fraction(percent, 100) * len(weights) and all(0 <= part <= 1 for part in parts)
        counts = [
            shares_in_layer(Budget(count=percent, by=spread), at, len(weights), 1).parts[0]
            for at in range(len(weights))
        ]
        assert sum(counts) == percent * len(weights) and all(count == int(count) >= 0 for count in counts)


def test_a_table_may_be_a_file_or_rates_by_density(tmp_path) -> None:
    path = tmp_path / "shares.json"
    path.write_text("[[1, 3], [0, 2]]")
    assert as_spread(path) == Table(((1.0, 3.0), (0.0, 2.0)), "shares.json") and as_spread("head") == "head"
    rates = [[[at / 100, 0.5]] for at in range(1, 100)]
    assert as_spread(rates, density=0.2).shares == ((1 - 0.8, 0.5),)
    assert as_spread(rates, density=1.0).shares == ((1 - 0.01, 0.5),)
    with pytest.raises(InputError, match="needs a `density`"):
        as_spread(rates)
    for text, message in (
        ("{}", "a list of layers"),
        ("[[NaN]]", "numbers of 0 or more"),
        ("[[true]]", "got True"),
        ("[", "Exp"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=f"shares.json is not a table of shares: .*{message}"):
            as_spread(path)
