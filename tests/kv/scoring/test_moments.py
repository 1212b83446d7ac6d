"""Sums of queries: what they are of, however they come, and that a cache that keeps them goes on from a file."""

import pytest
import torch

import keepmap
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.scoring.moments import QuerySums
from keepmap.language_model import load_language_model
from tests.families import build, tokens


@pytest.mark.parametrize("n_sink", [0, 4])
def test_moments_are_those_of_all_queries_beyond_the_sinks(n_sink: int) -> None:
    queries = torch.randn(2, 30, 6, generator=torch.Generator().manual_seed(0))
    sums = QuerySums.none(queries)
    for last in (0, 1, 2, 3, 9, 20):
        # Only those that are not in the sums yet are given.
        sums = sums.upto(last, n_sink, queries[:, sums.end :], sums.end, None)
        known = queries[:, n_sink if last >= n_sink else 0 : last + 1].double()
        moments = sums.moments()
        torch.testing.assert_close(moments.mean, known.mean(dim=1))
        apart = known - known.mean(dim=1, keepdim=True)
        torch.testing.assert_close(moments.covariance, apart.transpose(1, 2) @ apart / known.shape[1])
        assert sums.upto(last, n_sink, queries[:, :0], last + 1, None) is sums


def test_a_cache_that_keeps_them_goes_on_from_a_file(tmp_path) -> None:
    language_model, ids = load_language_model(build("llama")), tokens(300)
    options = {"density": 0.3, "n_sink": 3, "window": 10, "interval": 20}
    expected = keepmap.evict(language_model, ids, "expected_attention_anew", **options)
    cache = EvictingCache(language_model, "expected_attention_anew", **options)
    cache.read(ids[:190])
    cache.save(tmp_path / "cache.safetensors")
    loaded = EvictingCache.load(tmp_path / "cache.safetensors", language_model)
    for again in (cache.fork(), loaded):
        again.read(ids[190:191])
        again.read(ids[191:])
        assert torch.equal(again.keep_map().expires, expected.keep_map.expires)
    assert 0.2 < expected.keep_map.compressible_density() < 0.5
