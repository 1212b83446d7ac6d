"""Mode "once" equals a dense prefill, one cut and decoding, token by token; of every method, rule and family."""

import math
import random
from collections.abc import Iterator
from itertools import product

import pytest
import torch

import keepmap
from keepmap.errors import InputError
from keepmap.kv.eviction.dense import dense
from keepmap.kv.eviction.eviction import Eviction
from keepmap.kv.eviction.replay import hidden_states_under
from keepmap.language_model import load_language_model
from tests.conformance.cases import DECIDED, METHODS, RULES, Case, by_engine, by_reference
from tests.families import FAMILIES, build, tokens

COVERS = ("keepmap.kv.eviction.once",)
N = 44


def cases() -> Iterator[Case]:
    """Every family with two methods, every method under each rule; protection and context are drawn."""
    draw = random.Random(20_261_131)
    for seed, (family, number) in enumerate(product(FAMILIES, range(2))):
        method = DECIDED[(2 * FAMILIES.index(family) + number) % len(DECIDED)]
        yield drawn(family, method, draw.choice(RULES), seed, draw)
    for seed, (method, rule) in enumerate(product(METHODS, RULES)):
        yield drawn("llama", method, rule, seed, draw)


def drawn(family: str, method: str, rule: str, seed: int, draw: random.Random) -> Case:
    window, n_sink, context = draw.choice((0, 5, 5)), draw.choice((0, 4)), draw.choice((1, 7, 30, 36, N - 1, N))
    return Case(family, method, rule, 1, window, n_sink, N, seed, context_length=context)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_the_engine_equals_a_prefill_a_cut_and_decoding(case: Case) -> None:
    truth, result = by_reference(case), by_engine(case)
    keep_map = result.keep_map
    assert torch.equal(keep_map.expires, truth.expires) and torch.equal(keep_map.held, truth.held)
    # Scores that are rounded to 13 binary digits may be one of them apart.
    torch.testing.assert_close(keep_map.scores.double(), truth.scores, rtol=2.0**-12, atol=1e-5)
    torch.testing.assert_close(result.logits.double(), truth.logits.double(), rtol=0, atol=5e-7)


def test_the_cases_drop_and_keep() -> None:
    chosen = [case for case in cases() if case.family == "llama" and (case.context_length or 0) > 7]
    both = [0 < by_engine(case).keep_map.compressible_density() < 1 for case in chosen]
    assert len(both) > 9 and sum(both) >= 0.6 * len(both)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("method", ["h2o", "key_norm"])
def test_other_precisions(method: str, dtype: torch.dtype) -> None:
    case = Case("gpt_oss", method, "density", 1, 5, 4, N, seed=1, dtype=dtype, context_length=30)
    exact = by_engine(Case("gpt_oss", method, "density", 1, 5, 4, N, seed=1, context_length=30))
    result = by_engine(case)
    same = (result.keep_map.expires == exact.keep_map.expires).double().mean()
    if dtype == torch.float32:
        assert same == 1.0
        torch.testing.assert_close(result.logits.double(), exact.logits, rtol=0, atol=1e-4)
    else:
        assert same > 0.9 and set(result.keep_map.expires.unique().tolist()) == {30, N}


@pytest.fixture(scope="module")
def eviction() -> Eviction:
    return keepmap.evict(
        build("llama"), tokens(120), "h2o", mode="once", context_length=80, density=0.25, n_sink=4, window=16
    )


def test_nothing_is_evicted_before_the_cut_nor_after_it(eviction: Eviction) -> None:
    keep_map = eviction.keep_map
    assert set(keep_map.expires.unique().tolist()) == {80, 120}
    assert (keep_map.context_length, keep_map.info["mode"]) == (80, "once")
    # Sinks, a quarter of the 60 between them and the window, the window, and all that comes later.
    assert (keep_map.kept(79).sum(2) == 4 + 15 + 16).all() and (keep_map.kept().sum(2) == 4 + 15 + 16 + 40).all()
    assert keep_map.kept(78).sum() == 2 * 2 * 79
    assert not (keep_map.scores[:, :, :80] == 0).any() and not keep_map.scores[:, :, 80:].any()


def test_densities_are_those_that_were_asked_for_and_the_footprint_counts_the_prefill(eviction: Eviction) -> None:
    keep_map = eviction.keep_map
    for step in (79, 90, None):
        assert keep_map.compressible_density(step) == 0.25
    assert keep_map.density() == 75 / 120 and keep_map.compressible_density(78) == 1.0
    held = [step + 1 if step < 79 else step + 1 - 45 for step in range(120)]
    assert keep_map.footprint() == pytest.approx(sum(held) / (120 * 121 / 2))


def test_the_context_is_read_as_the_model_itself_reads_it(eviction: Eviction) -> None:
    full = dense(eviction.language_model, tokens(120))
    torch.testing.assert_close(eviction.hidden_states[:80], full[:80], rtol=0, atol=1e-9)
    assert float((eviction.hidden_states[80] - full[80]).abs().max()) > 1e-3 and eviction.felt


def test_a_replay_of_the_map_is_what_was_computed(eviction: Eviction) -> None:
    replayed = hidden_states_under(eviction.language_model, tokens(120), eviction.keep_map.expires)
    torch.testing.assert_close(replayed, eviction.hidden_states, rtol=0, atol=1e-9)


def test_damage_is_that_of_the_tokens_after_the_context(eviction: Eviction) -> None:
    damage, log_p = eviction.damage(), eviction.logits.double().log_softmax(-1)
    expected = [-float(log_p[i, token]) for i, token in enumerate(tokens(120)[1:].tolist())]
    assert damage.n == 40 and damage.nll == pytest.approx(sum(expected[79:]) / 40, rel=1e-12)
    assert damage.kl > 0.01
    whole = keepmap.evict(
        eviction.language_model, tokens(80), "h2o", mode="once", context_length=80, density=0.25, window=16
    )
    with pytest.raises(InputError, match="go on after their context of 80 tokens"):
        whole.damage()


def test_a_map_of_it_goes_into_a_file_and_back(eviction: Eviction, tmp_path) -> None:
    path = tmp_path / "map.safetensors"
    eviction.keep_map.save(path)
    again = keepmap.KeepMap.load(path)
    assert again == eviction.keep_map and again.context_length == 80
    other = keepmap.evict(
        eviction.language_model, tokens(120), "h2o", mode="once", context_length=81, density=0.25, window=16
    )
    assert other.keep_map != again


def test_decode_and_chunked_are_what_they_were() -> None:
    language_model, ids = load_language_model(build("llama")), tokens(N)
    plain = keepmap.evict(language_model, ids, "key_norm", window=4)
    named = keepmap.evict(language_model, ids, "key_norm", window=4, mode="decode")
    assert named.keep_map == plain.keep_map and plain.keep_map.info["mode"] == "decode"
    chunks = [
        keepmap.evict(language_model, ids, "key_norm", window=4, chunk_size=7, mode=mode) for mode in (None, "chunked")
    ]
    assert chunks[0].keep_map == chunks[1].keep_map and chunks[0].keep_map.info["mode"] == "chunked"
    assert chunks[0].keep_map != plain.keep_map


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "once"}, 'expected a `context_length` in mode "once", got none'),
        ({"mode": "once", "context_length": N + 1}, f"`context_length` of at most {N}"),
        ({"context_length": 9}, 'mode "once" takes one'),
        ({"mode": "chunked"}, "a `chunk_size` of 2 or more"),
    ],
    ids=str,
)
def test_what_a_mode_does_not_take_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        keepmap.evict("tiny", list(range(N)), "random", **options)


@pytest.mark.parametrize("method", ["baseline", "h2o", "random"])
def test_a_rule_that_drops_nothing_is_the_model_itself(method: str) -> None:
    language_model = load_language_model(build("gemma3"))
    result = keepmap.evict(
        language_model, tokens(N), method, mode="once", context_length=30, threshold=-math.inf, window=3
    )
    full = dense(language_model, tokens(N))
    torch.testing.assert_close(result.hidden_states, full, rtol=0, atol=3e-6)
    assert result.keep_map.density() == 1.0 and not result.felt
