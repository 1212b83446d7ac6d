"""The real cache in mode "once" against `evict`: the same cut, whatever generates, and however the text comes."""

import random
from collections.abc import Iterator
from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import keepmap
from keepmap.errors import InputError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.compress import compress
from keepmap.kv.cache.evicting import evicting
from tests.conformance.cases import DECIDED, METHODS, RULES, Case, model_of
from tests.conformance.test_cache import PROMPT, N, assert_same, generate, new_cache, read, setting, truth
from tests.families import FAMILIES, tokens


def cases() -> Iterator[Case]:
    """Every family with one method, every method under every rule; the prompt is the context."""
    draw = random.Random(20_261_201)
    families = [(family, DECIDED[seed % len(DECIDED)], draw.choice(RULES)) for seed, family in enumerate(FAMILIES)]
    for seed, (family, method, rule) in enumerate([*families, *(("llama", *each) for each in product(METHODS, RULES))]):
        yield Case(family, method, rule, 1, draw.choice((0, 5)), draw.choice((0, 4)), N, seed, context_length=PROMPT)


def before_the_cut(method: str) -> bool:
    """Whether a context may come in parts."""
    return method != "expected_attention"


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_generating_after_one_cut_decides_as_evict(case: Case) -> None:
    ids, logits, keep_map = generate(case, tokens(PROMPT, case.seed))
    assert_same(keep_map, logits, truth(case, ids))
    assert keep_map == truth(case, ids).keep_map and set(keep_map.expires.unique().tolist()) <= {PROMPT, N - 1}


@pytest.mark.parametrize("method", ["h2o", "random"])
def test_reading_the_prompt_in_chunks(method: str) -> None:
    case = Case("gemma3", method, "density", 1, 5, 4, N, context_length=PROMPT)
    ids, logits, keep_map = generate(case, tokens(PROMPT), prefill_chunk_size=13)
    assert_same(keep_map, logits, truth(case, ids))


@pytest.mark.parametrize("family", ["mistral", "gpt_oss"])
@settings(max_examples=12)
@given(data=st.data())
def test_however_a_text_comes_it_is_cut_at_the_same_place(family: str, data: st.DataObject) -> None:
    method, rule = data.draw(st.sampled_from(METHODS)), data.draw(st.sampled_from(RULES))
    context = data.draw(st.integers(1, N))
    case = Case(family, method, rule, 1, data.draw(st.sampled_from((0, 5))), 4, N, context_length=context)
    cuts = data.draw(st.sets(st.integers(1 if before_the_cut(method) else context, N - 1), max_size=9))
    # One by one around the cut, where that may be.
    cuts |= {at for at in (context - 1, context, context + 1) if 0 < at < N} if before_the_cut(method) else set()
    ends = [0, *sorted(cuts - {0, N}), N]
    # compactor looks at keys before their rotation, and for that at two positions or more of the first call.
    assume(method != "compactor" or ends[1] > 1)
    cache = new_cache(case)
    logits = read(cache, tokens(N), [end - start for start, end in zip(ends, ends[1:], strict=False)])
    assert_same(cache.keep_map(), logits, truth(case, tokens(N)))


@pytest.mark.parametrize("method", ["h2o", "key_norm", "expected_attention"])
def test_two_turns_a_fork_and_a_file(method: str, tmp_path) -> None:
    case = Case("gpt_oss", method, "density", 1, 5, 4, N, context_length=31)
    language_model, instance, options = setting(case)
    ids = tokens(N)
    cache = compress(language_model, ids[:31], instance, **{k: v for k, v in options.items() if k != "context_length"})
    expected = truth(case, ids)
    before = cache.keep_map()
    assert before == truth(case, ids[:31]).keep_map and before.context_length == 31
    fork = cache.fork()
    cache.save(tmp_path / "cache.safetensors")
    loaded = EvictingCache.load(tmp_path / "cache.safetensors", model_of(case))
    for again in (fork, loaded):
        assert again.keep_map() == before
        logits = read(again, ids[31:], [1, 1, 23])
        assert_same(again.keep_map(), logits, expected)
    assert cache.keep_map() == before
    other = torch.cat([ids[:31], tokens(N, 5)[31:]])
    logits = read(cache, other[31:], [25])
    assert_same(cache.keep_map(), logits, truth(case, other))


def test_bytes_fall_at_the_cut_and_one_layer_at_a_time_is_whole() -> None:
    model, ids = model_of(Case("llama", "h2o", "density", 1, 4, 2, N)), tokens(390)
    options = {"density": 0.1, "n_sink": 2, "window": 4, "mode": "once"}
    cache = compress(model, ids, "h2o", **options)
    report, entry = cache.report(), 2 * 8 * 8
    assert report.full_nbytes == 390 * 2 * 2 * entry and report.nbytes < 0.35 * report.full_nbytes
    # Of two layers, the first was cut when the second one read.
    assert 0.5 * report.full_nbytes < report.peak_nbytes < 0.85 * report.full_nbytes
    in_parts = EvictingCache(model, "h2o", **options, context_length=390)
    read(in_parts, ids[:389], [200, 189])
    assert in_parts.bytes() > report.full_nbytes * 389 / 390 and bool(in_parts.keep_map().kept().all())
    assert in_parts.report().nothing_to_evict is not None and in_parts.report().n_awaited == 1
    read(in_parts, ids[389:], [1])
    assert in_parts.report().nothing_to_evict is None
    assert in_parts.bytes() < 0.35 * report.full_nbytes
    assert torch.equal(in_parts.keep_map().expires, cache.keep_map().expires)
    short = compress(model, ids[:6], "h2o", **options)
    read(short, ids[6:60], [54])
    assert short.report().nothing_to_evict is not None and report.nothing_to_evict is None
    later = tokens(40, 1)
    read(cache, later, [40])
    assert cache.keep_map().kept()[:, :, 390:].all() and cache.keep_map().compressible_density() == 39 / 384


def test_a_first_call_is_the_context_where_nothing_else_is_said() -> None:
    case = Case("llama", "key_norm", "density", 1, 5, 4, N, context_length=PROMPT)
    language_model, method, options = setting(case)
    del options["context_length"]
    with torch.no_grad(), evicting(language_model, method, **options) as run:
        for prompt in (PROMPT, 20):
            language_model.model.generate(tokens(prompt)[None], max_new_tokens=5, do_sample=False, pad_token_id=0)
            assert run.keep_map.context_length == prompt


def test_a_context_in_parts_is_refused_where_a_score_looks_at_all_of_it() -> None:
    case = Case("llama", "expected_attention", "density", 1, 5, 4, N, context_length=30)
    cache = new_cache(case)
    with pytest.raises(InputError, match="context of 30 tokens in one call.*got 20 of them after 0"):
        read(cache, tokens(20), [20])
    # Nothing was taken: the cache goes on.
    logits = read(cache, tokens(N), [30, N - 30])
    assert_same(cache.keep_map(), logits, truth(case, tokens(N)))


def test_the_modes_are_those_of_evict() -> None:
    language_model = model_of(Case("llama", "h2o", "density", 1, 0, 0, N))
    cache = EvictingCache(language_model, "key_norm", window=4, mode="chunked", chunk_size=7)
    read(cache, tokens(N), [30, N - 30])
    assert cache.keep_map() == keepmap.evict(language_model, tokens(N), "key_norm", window=4, chunk_size=7).keep_map
    for arguments, message in (
        ({"mode": "chunked"}, "a `chunk_size` of 2 or more"),
        ({"mode": "once", "chunk_size": 7}, "no `chunk_size` in mode"),
        ({"context_length": 9}, 'mode "once" takes one'),
    ):
        with pytest.raises(InputError, match=message):
            evicting(language_model, "h2o", **arguments)
    with pytest.raises(InputError, match="`method` to be given with `mode`"):
        evicting(language_model, mode="once")
