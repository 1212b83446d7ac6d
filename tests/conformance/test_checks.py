"""What is checked at every run, and what the check is for."""

import dataclasses

import pytest
import torch
from transformers import AttentionMaskInterface

from keepmap.attention.passes.forward import NAME
from keepmap.errors import ImpossibleResultError, InputError
from keepmap.kv.eviction import evict as evict_module
from keepmap.kv.eviction.dense import dense
from keepmap.kv.eviction.evict import evict
from keepmap.language_model import load_language_model
from tests.families import build, tokens


def test_an_attention_that_is_not_what_the_map_says_is_an_error(monkeypatch):
    language_model = load_language_model(build("llama"))
    honest = evict_module.evicting_attention

    def forgetful(queries, keys, values, expires, sees_from, **options):
        return honest(queries, keys, values, torch.full_like(expires, expires.shape[1]), sees_from, **options)

    monkeypatch.setattr(evict_module, "evicting_attention", forgetful)
    assert not evict(language_model, tokens(60), "baseline").felt
    with pytest.raises(ImpossibleResultError, match="layer 0"):
        evict(language_model, tokens(60), "streaming_llm", window=4)


def test_what_is_dropped_is_felt_where_it_differs():
    language_model = load_language_model(build("llama"))
    assert evict(language_model, tokens(60), "streaming_llm", window=4).felt
    assert not evict(language_model, tokens(60), "streaming_llm", window=59).felt


def test_dropping_some_of_many_equal_tokens_is_not_felt():
    # Without a rotation equal tokens have equal keys and values, and so has any selection of them.
    model = build("gpt2")
    with torch.no_grad():
        model.transformer.wpe.weight.zero_()
    eviction = evict(load_language_model(model), torch.full((60,), 7), "streaming_llm", window=4)
    assert bool((eviction.keep_map.expires < 60).any()) and not eviction.felt


@pytest.mark.parametrize("window", [None, 5])
def test_the_mask_call_of_older_transformers_is_understood(window):
    position = torch.arange(12)

    def sees(batch, head, query, key):
        return (key <= query) & (True if window is None else key > query - window)

    evict(load_language_model(build("llama")), tokens(9), "random")  # after which transformers knows our mask
    mask = AttentionMaskInterface()[NAME]
    result = mask(1, cache_position=position, kv_length=12, mask_function=sees, kv_offset=0)
    expected = torch.zeros(12, dtype=torch.int64) if window is None else (position - window + 1).clamp(min=0)
    assert torch.equal(result[0, 0, :, 0], expected)


def test_equal_keys_tie_under_key_norm():
    """The same token at many positions: its keys differ by their rotation only, and the earlier ones go first."""
    language_model = load_language_model(build("llama", dtype=torch.float32))
    ids = tokens(8).repeat(20)
    scores = evict(language_model, ids, "key_norm", window=8).keep_map.scores[0]
    assert torch.equal(scores, scores[:, :8].repeat(1, 20))


def test_a_model_in_training_stays_so_and_is_run_without_dropout():
    model = build("gpt2")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    model.train()
    language_model = load_language_model(model)
    assert model.training
    assert torch.equal(dense(language_model, tokens(20)), dense(language_model, tokens(20)))
    evict(language_model, tokens(20), "random", window=2)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("device", ["mps", "meta", "cuda:99"])
def test_a_device_that_is_not_ours_is_refused(device):
    with pytest.raises(InputError, match=device):
        load_language_model(build("llama"), device=device)


@pytest.mark.parametrize("size", [10**19, 2**63, 10**30])
def test_protection_larger_than_any_text_protects_all(size):
    language_model = load_language_model(build("llama"))
    for options in ({"window": size}, {"n_sink": size}, {"chunk_size": size}):
        keep_map = evict(language_model, tokens(30), "streaming_llm", **options).keep_map
        assert bool((keep_map.expires == 30).all())


def test_an_eviction_is_a_value():
    eviction = evict(load_language_model(build("llama")), tokens(20), "random", window=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        eviction.felt = False


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_oss", "mistral"])
@pytest.mark.parametrize("method", ["streaming_llm", "key_norm", "expected_attention", "h2o", "observed_attention"])
def test_cuda_equals_the_cpu(family, method):
    results = [
        evict(load_language_model(build(family, dtype=torch.float32), device=device), tokens(150), method, window=16)
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(results[1].logits.cpu(), results[0].logits, rtol=1e-3, atol=1e-3)
