"""Ragged heads are read where they lie."""

import pytest
import torch

import keepmap
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.rows import Slabs
from keepmap.kv.method import LayerInput, Method, Received, Reviewed, Scored
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens

N = 90


def first_head(positions: torch.Tensor) -> torch.Tensor:
    """1 in the first head, 0 in the others: under a threshold it holds all, and they nothing but what is protected."""
    return torch.tensor([1.0, 0.0])[:, None].double().expand(-1, positions.shape[-1])


class ByPosition(Scored):
    name, label, needs = "by_position", "ByPosition", "position"

    def score(self, layer: LayerInput) -> torch.Tensor:
        return first_head(layer.keys[0, :, 0])


class ByAttention(Received):
    name, label = "by_attention", "ByAttention"

    def score(self, total, queries):
        return first_head(total) if total.shape[0] == 2 else total


class Anew(Reviewed):
    name, label, needs = "anew", "Anew", "held"

    def score(self, held):
        return first_head(held.positions) + 0.0 * (held.keys.sum(dim=-1) + held.values.sum(dim=-1))


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return load_language_model(build("llama"))


@pytest.mark.parametrize("method", [ByPosition(), ByAttention(), Anew()], ids=lambda method: method.name)
def test_no_head_is_padded_to_the_longest(language_model: LanguageModel, method: Method, monkeypatch) -> None:
    def padded(_: Slabs) -> None:
        raise AssertionError("all heads are padded to the longest")

    monkeypatch.setattr(Slabs, "padded", padded)
    options = {"threshold": 0.5, "n_sink": 2, "window": 4}
    cache = EvictingCache(language_model, method, **options)
    for part in tokens(N).split([40, 30, 1, N - 71]):
        with torch.no_grad():
            cache.go_on(part)
        slabs = cache.layer(0).held.slabs
        assert slabs.counts.tolist() == [cache.get_seq_length(), 6]
    assert cache.keep_map() == keepmap.evict(language_model, tokens(N), method, **options).keep_map
    keys, values = slabs.whole()
    assert keys.shape[0] == 2 and keys.data_ptr() == slabs.keys.data_ptr() and values[1].data_ptr() == values.data_ptr()
