"""Decisions after every so many queries alone: as decoding token by token says, in `evict` and in the cache."""

import random
from collections.abc import Iterator
from itertools import product

import pytest
import torch

import keepmap
from keepmap.errors import InputError
from keepmap.kv.cache.cache import EvictingCache
from tests.conformance.cases import Case, model_of
from tests.conformance.test_cache import PROMPT, N, assert_same, generate, new_cache, read, truth
from tests.conformance.test_engine import check
from tests.families import tokens


def cases() -> Iterator[Case]:
    """Each kind of method under both rules and a shared budget; the last decision is not at the text's end."""
    draw = random.Random(20_261_208)
    rules = (("threshold", "head"), ("density", "head"), ("density", "layer"))
    for seed, (method, (rule, by)) in enumerate(product(("random", "h2o", "snapkv"), rules)):
        window, n_sink, every = draw.choice((0, 5)), draw.choice((0, 4)), draw.choice((5, 9, 60))
        yield Case("llama", method, rule, 1, window, n_sink, N, seed, torch.float64, None, by, every)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_the_engine_and_the_cache_decide_as_decoding_does(case: Case) -> None:
    check(case)
    ids, logits, keep_map = generate(case, tokens(PROMPT, case.seed))
    assert_same(keep_map, logits, truth(case, ids))
    cache = new_cache(case)
    logits = read(cache, tokens(N), [9, 1, 20, 1, 1, N - 32])
    assert_same(cache.keep_map(), logits, truth(case, tokens(N)))


def test_the_buffer_is_counted_and_the_end_of_a_text_decides_nothing(tmp_path) -> None:
    language_model, ids = model_of(Case("llama", "h2o", "density", 1, 0, 0, N)), tokens(N)
    options = {"density": 0.25, "n_sink": 2, "window": 6}
    maps = {
        every: keepmap.evict(language_model, ids, "h2o", interval=every, **options).keep_map for every in (1, 9, 10**9)
    }
    assert maps[1] == keepmap.evict(language_model, ids, "h2o", **options).keep_map
    assert maps[1].footprint() < maps[9].footprint() < maps[10**9].footprint() == 1.0
    held = maps[9].kept()[:, :, 2:48].sum(dim=2)
    # 54 is the last multiple: 46 of them had left the window then, and two have left it since.
    assert (held == 12).all() and bool(maps[9].kept()[:, :, 48:].all())
    in_chunks = keepmap.evict(language_model, ids[:54], "h2o", chunk_size=9, **options).keep_map
    assert torch.equal(maps[9].expires[:, :, :54].clamp(max=54), in_chunks.expires)
    cache = EvictingCache(language_model, "h2o", interval=9, **options)
    read(cache, ids[:40], [40])
    cache.save(tmp_path / "cache.safetensors")
    again = EvictingCache.load(tmp_path / "cache.safetensors", language_model)
    read(again, ids[40:], [N - 40])
    assert torch.equal(again.keep_map().expires, maps[9].expires)


@pytest.mark.parametrize("options", [{"chunk_size": 4}, {"mode": "once", "context_length": 5}], ids=str)
def test_other_modes_take_no_interval(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected no `interval` in mode"):
        keepmap.evict("tiny", list(range(9)), "random", interval=3, **options)
