"""Methods that take another one's score."""

import pytest
import torch

import keepmap
from keepmap.kv.cache.batches.once import read_once
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.methods.caote import CAOTE
from keepmap.kv.methods.criticalkv import CriticalKV
from keepmap.kv.methods.defensivekv import DefensiveKV
from tests.conformance.cases import Case, by_reference
from tests.families import build, tokens
from tests.reference.rules import Rule

TEXT = "The code of river is 4821. " * 9


def test_what_a_wrapper_needs_and_protects_is_its_bases() -> None:
    tova, anew = CAOTE("tova"), CriticalKV("expected_attention_anew")
    assert (tova.window, tova.n_sink, tova.observes, tova.label) == (1, 0, 1, "CAOTE(TOVA)")
    assert (anew.needs, anew.window, anew.needs_moments, anew.needs_rotation) == ("held", 128, True, True)
    assert (CAOTE().window, CAOTE().label, CAOTE.label) == (32, "CAOTE", "CAOTE") and CAOTE() == CAOTE("snapkv")
    # A base's wishes are its wrapper's too.
    assert CAOTE("defensivekv").needs_norms and not CAOTE().needs_norms and anew.needs_capacity
    assert keepmap.evict("tiny", TEXT, anew, density=0.3).keep_map.info["label"].startswith("CriticalKV(Expected")


@pytest.mark.parametrize("base", ["h2o", "caote", "nothing", "random"])
def test_a_base_that_is_none_is_refused(base: str) -> None:
    with pytest.raises(keepmap.InputError, match=f"scores what is held anew, one of compactor, .*, got '{base}'"):
        CriticalKV(base)


def test_caote_takes_no_scores_below_zero() -> None:
    with pytest.raises(keepmap.InputError, match="`base` of caote to score 0 or more, got lru, which scored -1"):
        keepmap.evict("tiny", TEXT, CAOTE("lru"), window=16)


def test_shared_budgets_are_those_of_all_heads() -> None:
    """Where heads share, each one's even part is what its first share is taken of."""
    case = Case("gpt2", "defensivekv", "density", 1, 5, 4, 40, 2, by="layer")
    true = by_reference(case)
    own = keepmap.evict(build("gpt2"), tokens(40, 2), DefensiveKV(queries=4), density=0.5, n_sink=4, window=5).keep_map
    assert torch.equal(own.expires, true.expires) and own.info["budget_by"] == "layer"
    assert len(set(own.held.sum(dim=2)[0].tolist())) > 1


def test_where_all_layers_share_the_second_stage_decides_alone() -> None:
    options = {"mode": "once", "context_length": 30, "n_sink": 4, "window": 5, "density": 0.3}
    both = [
        keepmap.evict(build("llama"), tokens(40), CriticalKV("tova", first), budget_by="model", **options).keep_map
        for first in (0.0, 1.0)
    ]
    assert both[0] == both[1]
    by_head = [keepmap.evict(build("llama"), tokens(40), CriticalKV("tova", first), **options) for first in (0.0, 1.0)]
    assert by_head[0].keep_map != by_head[1].keep_map
    assert Rule(density=0.3).capacity(21) == 7


def test_caches_that_read_together_each_have_their_own_budget() -> None:
    language_model = keepmap.load_language_model(build("llama"))
    method = CriticalKV("tova")

    def caches() -> list[EvictingCache]:
        options = {"mode": "once", "n_sink": 4, "window": 5}
        return [EvictingCache(language_model, method, density=density, **options) for density in (0.2, 0.6)]

    together, alone = caches(), caches()
    read_once(together, tokens(40))
    for cache, own in zip(together, alone, strict=True):
        own.read(tokens(40))
        assert cache.keep_map() == own.keep_map()
