"""The real cache against `evict`: the same expiries, whatever generates, and however the text comes."""

import random
from collections.abc import Iterator
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import keepmap
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.evicting import evicting
from keepmap.kv.eviction.eviction import Eviction
from keepmap.kv.method import Method
from keepmap.kv.methods.observed_attention import ObservedAttention
from keepmap.language_model import LanguageModel
from tests.conformance.cases import DECIDED, METHODS, RULES, WHOLE, Case, instance, model_of, reviewed
from tests.families import FAMILIES, tokens

COVERS = (
    "keepmap.kv.cache.held",
    "keepmap.kv.cache.record",
    "keepmap.kv.cache.decoding.step",
    "keepmap.kv.cache.stretch",
)
HELD = tuple(method for method in METHODS if method != "expected_attention")
N, PROMPT = 56, 44


def cases() -> Iterator[Case]:
    """Pairs of family and method, and methods of each kind under every rule and chunk; the rest is drawn."""
    draw = random.Random(20_261_130)
    decided = [method for method in DECIDED if method in HELD]
    for seed, (family, method) in enumerate([*product(FAMILIES, decided), *reviewed()]):
        rule, chunk = draw.choice(RULES), draw.choice((1, 1, 7, 16))
        yield Case(family, method, rule, chunk, draw.choice((0, 5)), draw.choice((0, 4)), N, seed)
    for method, rule, chunk in product([*decided, "snapkv", "lagkv"], RULES, (1, 9, WHOLE)):
        yield Case("gemma2", method, rule, chunk, 5, 4, N)


def setting(case: Case) -> tuple[LanguageModel, str | Method, dict[str, float | int]]:
    language_model = model_of(case)
    method = instance(case.method, language_model.n_kv_heads)
    options = {"n_sink": case.n_sink, "window": case.window, "seed": case.seed}
    options |= {"chunk_size": case.chunk_size, "interval": case.interval}
    if case.context_length is not None:
        options |= {"mode": "once", "context_length": case.context_length}
    if case.rule != "threshold":
        options |= {"budget_by": case.shared()}
    return language_model, method, case.options() | options


def new_cache(case: Case) -> EvictingCache:
    language_model, method, options = setting(case)
    return EvictingCache(language_model, method, **options)


def truth(case: Case, ids: Tensor) -> Eviction:
    language_model, method, options = setting(case)
    return keepmap.evict(language_model, ids, method, **options)


def read(cache: EvictingCache, ids: Tensor, sizes: tuple[int, ...] | list[int]) -> Tensor:
    """The logits of a text that comes in parts."""
    model = cache.language_model.model
    with torch.no_grad(), evicting(cache.language_model):
        parts = [model(input_ids=part[None], past_key_values=cache).logits[0] for part in ids.split(list(sizes))]
    return torch.cat(parts)


def generate(case: Case, prompt: Tensor, **arguments: object) -> tuple[Tensor, Tensor, keepmap.KeepMap]:
    """The tokens that the model saw, the logits of what it generated greedily, and what was kept."""
    language_model, method, options = setting(case)
    arguments = {
        "max_new_tokens": N - len(prompt),
        "do_sample": False,
        "pad_token_id": 0,
        "eos_token_id": None,
    } | arguments
    with evicting(language_model, method, **options) as run:
        result = language_model.model.generate(
            prompt[None],
            attention_mask=torch.ones(1, len(prompt)),
            output_logits=True,
            return_dict_in_generate=True,
            **arguments,
        )
    return result.sequences[0, :-1], torch.cat(result.logits), run.keep_map


ROUNDED = {"compactor", "cur", "expected_attention_anew", "key_norm", "r_kv", "value_norm"}
"""Methods whose scores are rounded to 13 binary digits, so that equal entries tie."""


def assert_same(keep_map: keepmap.KeepMap, logits: Tensor, eviction: Eviction, tolerance: float = 1e-6) -> None:
    expected = eviction.keep_map
    assert torch.equal(keep_map.expires, expected.expires) and torch.equal(keep_map.kept(), expected.kept())
    # In float32 a score that is rounded to 13 binary digits may be the next one to it.
    are_near = torch.isclose(keep_map.scores, expected.scores, rtol=1e-5, atol=1e-6)
    is_rounded = expected.info["method"] in ROUNDED and tolerance > 1e-6
    assert float(are_near.double().mean()) >= (0.99 if is_rounded else 1.0)
    torch.testing.assert_close(keep_map.scores, expected.scores, rtol=2**-12 if is_rounded else 1e-5, atol=1e-6)
    assert keep_map.info == expected.info and keep_map.threshold == expected.threshold
    assert (keep_map.n_sink, keep_map.window) == (expected.n_sink, expected.window)
    own = eviction.logits[-len(logits) :]
    assert float((logits - own).abs().max()) <= tolerance * float(own.abs().max())


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_generating_decides_as_evict(case: Case) -> None:
    ids, logits, keep_map = generate(case, tokens(PROMPT, case.seed))
    assert len(ids) == N - 1
    assert_same(keep_map, logits, truth(case, ids))


def in_turn(dtype: torch.dtype, shift: int) -> list[Case]:
    """Every family in a format; methods and rules in turn."""
    each = enumerate([*FAMILIES, "llama"])
    return [
        Case(family, HELD[(at + shift) % len(HELD)], RULES[at // len(HELD) % 3], 1, 5, 4, N, at, dtype=dtype)
        for at, family in each
    ]


@pytest.mark.parametrize("case", in_turn(torch.float32, 0), ids=str)
def test_float32(case: Case) -> None:
    ids, logits, keep_map = generate(case, tokens(PROMPT, case.seed))
    assert_same(keep_map, logits, truth(case, ids), tolerance=1e-5)


@pytest.mark.parametrize("case", in_turn(torch.bfloat16, 1), ids=str)
def test_bfloat16(case: Case) -> None:
    # Roundings differ in how a text comes, so that what looks at it may decide a few entries otherwise.
    ids, _, keep_map = generate(case, tokens(PROMPT, case.seed))
    expected = truth(case, ids).keep_map
    looks = case.method not in ("random", "streaming_llm")
    assert float((keep_map.expires == expected.expires).float().mean()) >= (0.9 if looks else 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("method", HELD)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_by_every_method_and_rule(family: str, method: str, dtype: torch.dtype) -> None:
    for rule in RULES[:2]:
        case = Case(family, method, rule, 1, 5, 4, N, dtype=dtype)
        ids, logits, keep_map = generate(case, tokens(PROMPT))
        if dtype == torch.float32:
            assert_same(keep_map, logits, truth(case, ids), tolerance=1e-5)
        else:
            differ = float((keep_map.expires != truth(case, ids).keep_map.expires).float().mean())
            print(f"{case}: {differ:.2%} of the expiries differ")
            assert differ <= 0.1


@pytest.mark.parametrize("method", ["h2o", "streaming_llm"])
def test_reading_the_prompt_in_chunks(method: str) -> None:
    case = Case("gemma3", method, "density", 1, 5, 4, N)
    ids, logits, keep_map = generate(case, tokens(PROMPT), prefill_chunk_size=13)
    assert_same(keep_map, logits, truth(case, ids))


@pytest.mark.parametrize("sliding", ["llama", "mistral", "gpt_oss"])
@settings(max_examples=12)
@given(data=st.data())
def test_however_a_text_comes_it_is_the_same(sliding: str, data: st.DataObject) -> None:
    method, rule = data.draw(st.sampled_from(HELD)), data.draw(st.sampled_from(RULES))
    window, sinks = data.draw(st.sampled_from((0, 3, 30))), data.draw(st.sampled_from((0, 2, 50)))
    case = Case(
        sliding, method, rule, data.draw(st.sampled_from((1, 5, WHOLE))), 5, 4, N, seed=data.draw(st.integers(0, 9))
    )
    options = case.options()
    language_model, instance, _ = setting(case)
    options |= {"window": window, "n_sink": sinks, "chunk_size": case.chunk_size}
    cuts = sorted(data.draw(st.sets(st.integers(1, N - 1), max_size=9)))
    sizes = [end - start for start, end in zip([0, *cuts], [*cuts, N], strict=True)]
    cache = EvictingCache(language_model, instance, **options)
    logits = read(cache, tokens(N), sizes)
    assert_same(cache.keep_map(), logits, keepmap.evict(language_model, tokens(N), instance, **options))


class Mine(ObservedAttention):
    """A method of one's own, whose score is called at every step."""

    def score(self, total, queries):
        return 2 * super().score(total, queries)


@pytest.mark.parametrize("options", [{"density": 0.3}, {"threshold": 0.1}], ids=str)
def test_a_method_of_ones_own(options: dict[str, float]) -> None:
    language_model = model_of(Case("llama", "h2o", "density", 1, 0, 0, N))
    cache = EvictingCache(language_model, Mine(), **options, window=5)
    logits = read(cache, tokens(N), [20, 1, 1, 1, 33])
    assert_same(cache.keep_map(), logits, keepmap.evict(language_model, tokens(N), Mine(), **options, window=5))


@pytest.mark.parametrize("sizes", [[N], [9, *[1] * (N - 9)]], ids=["at once", "one by one"])
def test_a_score_at_the_threshold_stays(sizes: list[int]) -> None:
    language_model = model_of(Case("llama", "streaming_llm", "density", 1, 0, 0, N))
    cache = EvictingCache(language_model, "streaming_llm", threshold=0.0, window=5)
    read(cache, tokens(N), sizes)
    expected = keepmap.evict(language_model, tokens(N), "streaming_llm", threshold=0.0, window=5).keep_map
    assert bool(cache.keep_map().kept().all()) and cache.keep_map() == expected


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", ["h2o", "key_norm"])
def test_two_turns_a_fork_and_a_file(method: str, rule: str, tmp_path) -> None:
    case = Case("gpt_oss", method, rule, 5, 5, 4, N)
    cache, ids = new_cache(case), tokens(N)
    instance = cache.terms.method
    read(cache, ids[:31], [30, 1])
    before = cache.keep_map()
    fork = cache.fork()
    cache.save(tmp_path / "cache.safetensors")
    loaded = EvictingCache.load(tmp_path / "cache.safetensors", model_of(case), instance)
    expected = truth(case, ids)
    for again in (fork, loaded):
        assert again.keep_map() == before
        logits = read(again, ids[31:], [1, 1, 23])
        assert_same(again.keep_map(), logits, expected)
    assert cache.keep_map() == before
    other = torch.cat([ids[:31], tokens(N, 5)[31:]])
    logits = read(cache, other[31:], [25])
    assert_same(cache.keep_map(), logits, truth(case, other))
