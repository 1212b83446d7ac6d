"""A model that does not give in parts what it gives at once is refused."""

import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM

import keepmap
from keepmap.errors import ModelError
from keepmap.kv.cache.cache import EvictingCache
from tests.families import build


def test_a_model_whose_positions_start_anew_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama")
    forward = model.model.rotary_emb.forward

    def restart(x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return forward(x, position_ids=position_ids - position_ids.min())

    monkeypatch.setattr(model.model.rotary_emb, "forward", restart)
    with pytest.raises(ModelError, match="in parts its logits are off by"):
        EvictingCache(model, "random")


def test_a_model_whose_layers_share_what_they_store_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama")
    model.model.layers[1].self_attn.register_forward_pre_hook(
        lambda module, args, kwargs: (args, kwargs | {"past_key_values": None}), with_kwargs=True
    )
    with pytest.raises(ModelError, match="keeps its keys and values elsewhere"):
        EvictingCache(model, "random")


def test_a_model_that_is_not_supported_is_refused_at_every_door() -> None:
    model = BloomForCausalLM(BloomConfig(vocab_size=32, hidden_size=16, n_layer=1, n_head=2)).eval()
    calls = (
        lambda: EvictingCache(model, "h2o"),
        lambda: keepmap.evicting(model, "h2o"),
        lambda: keepmap.evicting(model),
        lambda: keepmap.compress(model, [1, 2, 3], "h2o"),
        lambda: keepmap.generate(model, [1, 2, 3], "h2o"),
    )
    for call in calls:
        with pytest.raises(ModelError, match="^BloomForCausalLM is not supported: its attention biases"):
            call()


def test_where_the_first_look_does_not_go_into_memory_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr("keepmap.kv.cache.layer.stretch", stop)
    with pytest.raises(ModelError, match="^a first look at LlamaForCausalLM does not go into the memory of cpu; free"):
        EvictingCache(build("llama"), "random")


def test_a_supported_model_is_asked_once() -> None:
    model, calls = build("llama"), []
    EvictingCache(model, "random")
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    EvictingCache(model, "h2o")
    assert calls == []
