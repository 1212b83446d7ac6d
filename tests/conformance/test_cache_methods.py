"""Every method that a cache takes against `evict`, in float32: on three families or more, and each kind on all."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch

import keepmap
from keepmap.errors import InputError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.method import Method, Received, Reviewed, methods
from keepmap.kv.methods.kvzap import KVzapNoSink
from tests.conformance.cases import QUERIES, family_model, instance, surrogate
from tests.conformance.test_cache import HELD, read
from tests.families import FAMILIES, tokens

SINKS, SLIDING = "gpt_oss", ("mistral", "gemma2", "gemma3")
PLAIN = tuple(family for family in FAMILIES if family not in (SINKS, *SLIDING))
TAKEN = tuple(name for name, method in methods().items() if method.needs != "future")
SIZES = (20, 18, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
N, WINDOW, N_SINK = sum(SIZES), 5, 2
ODDS = ("dropkv", "caote")
"""Where one entry has nearly all of a query's attention, a / (1 - a) makes scores of what float32 rounds."""


def kind_of(name: str) -> str:
    method = methods()[name]
    if issubclass(method, Received):
        return "received"
    return method.needs if issubclass(method, Reviewed) else "known as positions come"


def cases() -> list[tuple[str, str]]:
    """Pairs of family and method."""
    kinds: dict[str, list[str]] = {}
    for name in TAKEN:
        kinds.setdefault(kind_of(name), []).append(name)
    pairs = {(family, names[at % len(names)]) for names in kinds.values() for at, family in enumerate(FAMILIES)}
    for at, name in enumerate(TAKEN):
        pairs.add((SINKS, name))
        for some in (SLIDING, PLAIN):
            if not any((family, name) in pairs for family in some):
                pairs.add((some[at % len(some)], name))
    return sorted(pairs, key=lambda pair: (TAKEN.index(pair[1]), FAMILIES.index(pair[0])))


def method_of(name: str, heads: int) -> Method:
    """Of sizes that matter in a short text."""
    if name == "kvzap_no_sink":
        return KVzapNoSink(surrogate(heads).surrogate)
    small = {"queries": QUERIES} if any(field.name == "queries" for field in fields(methods()[name])) else {}
    method = instance(name, heads)
    return methods()[name](**small) if isinstance(method, str) else method


def options_of(name: str) -> dict[str, float | int | str]:
    options: dict[str, float | int | str] = {"n_sink": N_SINK, "window": WINDOW}
    if methods()[name].needs == "prefix":
        options |= {"mode": "once", "context_length": SIZES[0]}
    return options if name == "baseline" else options | {"density": 0.3}


def test_there_are_three_families_for_each_method_and_each_kind_for_each_family() -> None:
    pairs = cases()
    for name in TAKEN:
        families = {family for family, method in pairs if method == name}
        assert SINKS in families and families & set(SLIDING) and families & set(PLAIN)
    kinds = {kind_of(name) for name in TAKEN}
    assert len(kinds) == 4
    for family in FAMILIES:
        assert {kind_of(method) for own, method in pairs if own == family} == kinds


@pytest.mark.parametrize(("family", "name"), cases(), ids=["-".join(pair) for pair in cases()])
def test_a_cache_decides_as_evict(family: str, name: str, tmp_path: Path) -> None:
    language_model, options = family_model(family, torch.float32), options_of(name)
    method = method_of(name, language_model.n_kv_heads)
    expected = same(EvictingCache(language_model, method, **options), method, options, tmp_path)
    if name == "baseline":
        return
    assert 0.0 < expected.compressible_density() < 0.8
    if family == SINKS:
        # The other rule, by a threshold that is in the middle of the scores.
        decided = expected.scores[:, :, N_SINK : SIZES[0] - WINDOW].flatten().sort().values
        at = len(decided) // 2
        options = options | {"threshold": float((decided[at] + decided[at - 1]) / 2)}
        del options["density"]
        same(EvictingCache(language_model, method, **options), method, options, tmp_path)


@pytest.mark.parametrize("name", [name for name in TAKEN if name not in HELD and name != "baseline"])
def test_in_bfloat16_it_decides_nearly_as_evict(name: str) -> None:
    """The methods that test_cache.py has in that format are left out."""
    language_model, options = (
        family_model(FAMILIES[TAKEN.index(name) % len(FAMILIES)], torch.bfloat16),
        options_of(name),
    )
    method = method_of(name, language_model.n_kv_heads)
    cache = EvictingCache(language_model, method, **options)
    read(cache, tokens(N, 3), SIZES)
    expected = keepmap.evict(language_model, tokens(N, 3), method, **options).keep_map
    assert 0.0 < expected.compressible_density() < 0.8
    assert float((cache.keep_map().expires == expected.expires).float().mean()) >= 0.9


@pytest.mark.parametrize("name", [name for name in TAKEN if name != "baseline"])
def test_forks_go_their_own_ways(name: str) -> None:
    language_model, options = family_model("qwen3", torch.float32), options_of(name)
    method, ids, others = method_of(name, language_model.n_kv_heads), tokens(N, 3), tokens(N, 4)
    cache = EvictingCache(language_model, method, **options)
    read(cache, ids[:30], (20, 9, 1))
    fork = cache.fork()
    for own, rest in ((fork, others[30:]), (cache, ids[30:])):
        with torch.inference_mode():
            read(own, rest, (N - 31, 1))
        whole = torch.cat([ids[:30], rest])
        expected = keepmap.evict(language_model, whole, method, **options).keep_map
        assert torch.equal(own.keep_map().expires, expected.expires)


@pytest.mark.parametrize("name", [name for name in TAKEN if name != "baseline"])
def test_a_prompt_that_transformers_cuts_in_pieces_is_one_prompt(name: str) -> None:
    language_model, options = family_model("llama", torch.float32), options_of(name)
    method, ids = method_of(name, language_model.n_kv_heads), tokens(N, 3)[None]
    options_of_answer = {"max_new_tokens": 3, "do_sample": False, "prefill_chunk_size": 13}
    with torch.inference_mode(), keepmap.evicting(language_model.model, method, **options) as run:
        if methods()[name].needs == "prefix":
            with pytest.raises(InputError, match="leave `prefill_chunk_size` out"):
                language_model.model.generate(ids, **options_of_answer)
            return
        answer = language_model.model.generate(ids, attention_mask=torch.ones_like(ids), **options_of_answer)
    expected = keepmap.evict(language_model, answer[0, :-1], method, **options).keep_map
    assert torch.equal(run.keep_map.expires, expected.expires) and expected.compressible_density() < 0.8


def same(cache: EvictingCache, method: Method, options: dict[str, object], tmp_path: Path) -> keepmap.KeepMap:
    """What `evict` keeps, once the cache has come to the same, on its way through a file."""
    ids = tokens(N, 3)
    first, rest = ids[: sum(SIZES[:4])], ids[sum(SIZES[:4]) :]
    logits = [read(cache, first, SIZES[:4])]
    cache.save(tmp_path / "cache.safetensors")
    again = EvictingCache.load(tmp_path / "cache.safetensors", cache.language_model, method)
    logits.append(read(again, rest, SIZES[4:]))
    evicted = keepmap.evict(cache.language_model, ids, method, **options)
    kept, expected = again.keep_map(), evicted.keep_map
    assert torch.equal(kept.expires, expected.expires) and torch.equal(kept.kept(), expected.kept())
    assert float((torch.cat(logits) - evicted.logits).abs().max()) <= 1e-5 * float(evicted.logits.abs().max())
    if method.name not in ODDS:
        torch.testing.assert_close(kept.scores, expected.scores, rtol=1e-3, atol=1e-5)
    return expected
