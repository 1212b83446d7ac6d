"""What a layer holds where the model's own window slides: what no score can look at any more is freed."""

import pytest
import torch

import keepmap
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.evicting import evicting
from keepmap.kv.method import Reviewed
from keepmap.kv.methods.adakv import AdaKV
from keepmap.kv.methods.caote import CAOTE
from keepmap.kv.methods.dropkv import DropKV
from keepmap.kv.methods.keydiff import KeyDiff
from keepmap.kv.methods.lru import LRU
from keepmap.kv.methods.pyramidkv import PyramidKV
from keepmap.kv.methods.snapkv import SnapKV
from keepmap.kv.methods.tova import TOVA
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import SLIDING, build, tokens

N = 64
OPTIONS = {"density": 0.8, "n_sink": 2, "window": 5}


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return load_language_model(build("mistral"))


def read(cache: EvictingCache, ids: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    with torch.no_grad(), evicting(cache.language_model):
        parts = [cache.language_model.model(part[None], past_key_values=cache).logits[0] for part in ids.split(sizes)]
    return torch.cat(parts)


@pytest.mark.parametrize("sizes", [[N], [30, 19, *[1] * (N - 49)]], ids=["at once", "step by step"])
@pytest.mark.parametrize(
    "method",
    [SnapKV(4), AdaKV(4), PyramidKV(4), TOVA(), LRU(4), DropKV(4), CAOTE("tova")],
    ids=lambda method: method.name,
)
def test_what_no_query_sees_any_more_is_freed(
    language_model: LanguageModel, method: Reviewed, sizes: list[int], tmp_path
) -> None:
    cache = EvictingCache(language_model, method, **OPTIONS)
    logits = read(cache, tokens(N), sizes)
    expected = keepmap.evict(language_model, tokens(N), method, **OPTIONS)
    kept = cache.keep_map()
    assert torch.equal(kept.expires, expected.keep_map.expires)
    torch.testing.assert_close(kept.scores, expected.keep_map.scores)
    torch.testing.assert_close(logits, expected.logits)
    for layer in cache.layers:
        held = layer.held
        assert held.columns.counts.max() < SLIDING + method.observes and held.ghosts.counts.min() > 10
    cache.save(tmp_path / "cache.safetensors")
    again = EvictingCache.load(tmp_path / "cache.safetensors", language_model, method)
    assert again.keep_map() == kept == cache.fork().keep_map()
    assert torch.equal(read(again, tokens(9, 1), [4, 1, 1, 3]), read(cache, tokens(9, 1), [4, 1, 1, 3]))


def test_what_a_score_looks_at_stays(language_model: LanguageModel) -> None:
    for method, stays in ((KeyDiff(), True), (CAOTE(), True), (CAOTE("tova"), False)):
        assert method.needs_hidden == stays
    cache = EvictingCache(language_model, KeyDiff(), **OPTIONS)
    read(cache, tokens(N), [N])
    expected = keepmap.evict(language_model, tokens(N), KeyDiff(), **OPTIONS)
    assert torch.equal(cache.keep_map().expires, expected.keep_map.expires)
    assert not any(layer.held.ghosts.counts.any() for layer in cache.layers)
