"""A plain cache of what is held goes on as ours does, or is refused."""

import pytest
import torch

from keepmap.errors import InputError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.evicting import evicting
from keepmap.language_model import load_language_model
from tests.families import build, tokens

IDS = tokens(40)


def read(cache: EvictingCache, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad(), evicting(cache.language_model):
        return cache.language_model.model(input_ids=ids[None], past_key_values=cache).logits[0]


def test_a_plain_cache_of_what_is_held() -> None:
    language_model = load_language_model(build("llama"))
    cache = EvictingCache(language_model, "h2o", n_sink=2, window=4, density=0.3)
    read(cache)
    with torch.no_grad():
        expected = read(cache.fork(), IDS[:1])
        plain = cache.to_dynamic()
        positions = torch.tensor([[40]])
        logits = language_model.model(input_ids=IDS[None, :1], past_key_values=plain, position_ids=positions).logits
    torch.testing.assert_close(logits[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("family", "rule"), [("llama", {"threshold": 0.4}), ("gpt_oss", {"budget": 20})])
def test_where_heads_or_layers_differ_it_is_refused(family: str, rule: dict[str, float]) -> None:
    cache = EvictingCache(build(family), "random", n_sink=2, window=4, **rule)
    read(cache)
    with pytest.raises(InputError, match="heads and layers all hold the same number of entries"):
        cache.to_dynamic()


def test_a_plain_cache_of_a_model_with_a_window_of_its_own() -> None:
    language_model, more = load_language_model(build("mistral")), tokens(12, 1)
    without_gaps = EvictingCache(language_model, "streaming_llm", n_sink=2, window=30, density=0.0, mode="once")
    read(without_gaps)
    plain, expected = without_gaps.to_dynamic(), []
    for at, token in enumerate(more):
        expected.append(read(without_gaps, token[None]))
        with torch.no_grad():
            logits = language_model.model(
                token.view(1, 1), past_key_values=plain, position_ids=torch.tensor([[40 + at]])
            ).logits[0]
        torch.testing.assert_close(logits, expected[-1], rtol=1e-9, atol=1e-9)
    gaps = EvictingCache(language_model, "streaming_llm", n_sink=20, window=4, density=0.0, mode="once")
    read(gaps)
    with pytest.raises(InputError, match="without gaps in layers with a window of their own, 24 positions"):
        gaps.to_dynamic()
