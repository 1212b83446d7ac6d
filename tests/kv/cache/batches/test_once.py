"""A context read once for several caches: each is what it is after a `read` of its own, and then goes on like it."""

import pytest
import torch

from keepmap.errors import InputError
from keepmap.kv.cache.batches.once import read_once
from keepmap.kv.cache.batches.together import go_on_together
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.methods.key_norm import KeyNorm
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens

COVERS = ("keepmap.kv.cache.batches.once", "keepmap.kv.cache.batches.together", "keepmap.kv.eviction.deciding")
METHODS = ("adakv", "pyramidkv", "random", "expected_attention", "h2o", "observed_attention", "keydiff")
RULES: tuple[dict[str, float], ...] = ({"density": 0.2}, {"density": 0.6}, {"budget": 9}, {"threshold": 0.1})
CONTEXT, QUESTIONS = tokens(70), torch.stack([tokens(5, seed) for seed in range(10)])


@pytest.fixture(params=["llama", "gemma2"])
def language_model(request: pytest.FixtureRequest) -> LanguageModel:
    return load_language_model(build(request.param))


def caches_of(language_model: LanguageModel) -> list[EvictingCache]:
    options = {"mode": "once", "n_sink": 2, "window": 6, "seed": 3}
    plans = [(method, RULES[at % 4]) for at, method in enumerate((*METHODS, *METHODS[:3]))]
    return [EvictingCache(language_model, method, **rule, **options) for method, rule in plans]


def test_each_cache_is_what_it_is_after_a_read_of_its_own(language_model: LanguageModel) -> None:
    together, alone = caches_of(language_model), caches_of(language_model)
    read_once(together, CONTEXT)
    for cache in alone:
        cache.read(CONTEXT)
    for joint, other in zip(together, alone, strict=True):
        keep_map, wanted = joint.keep_map(), other.keep_map()
        assert torch.equal(keep_map.expires, wanted.expires) and keep_map.info == wanted.info, repr(other)
        torch.testing.assert_close(keep_map.scores, wanted.scores, rtol=1e-6, atol=1e-7)
        assert joint.report().moments == other.report().moments or joint.terms.method.needs in ("held", "window")
    hidden = go_on_together(together, QUESTIONS)
    again = go_on_together(together, QUESTIONS[:, :1])
    for row, cache in enumerate(alone):
        torch.testing.assert_close(hidden[row], cache.go_on(QUESTIONS[row]), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(again[row], cache.go_on(QUESTIONS[row, :1]), rtol=1e-6, atol=1e-9)
        assert torch.equal(together[row].keep_map().expires, cache.keep_map().expires)


def test_what_a_method_says_of_a_layer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    language_model, method, layers = load_language_model(build("llama")), KeyNorm(), list[int]()
    caches = [EvictingCache(language_model, method, density=share, mode="once") for share in (0.2, 0.5, 0.8)]
    monkeypatch.setattr(
        "keepmap.kv.methods.key_norm.KeyNorm.score",
        lambda self, layer: layers.append(layer.layer) or layer.keys.norm(dim=-1),
    )
    read_once(caches, CONTEXT)
    assert layers == [0, 1]


def test_caches_that_differ_in_what_they_have_seen_are_refused() -> None:
    language_model = load_language_model(build("llama"))
    first, second = (EvictingCache(language_model, "h2o", density=0.5, mode="once") for _ in range(2))
    first.read(CONTEXT)
    with pytest.raises(InputError, match=r"have seen the same number of tokens, got \[0, 70\]"):
        go_on_together([first, second], QUESTIONS[:2])
    with pytest.raises(InputError, match='caches` of mode "once" that have seen nothing'):
        read_once([second, first], CONTEXT)
    with pytest.raises(InputError, match='caches` of mode "once" that have seen nothing'):
        read_once([EvictingCache(language_model, "h2o", density=0.5)], CONTEXT)
