"""Models as their users have them, in a block: compiled, wrapped, adapted, offloaded, under autocast."""

import copy

import pytest
import torch
from accelerate import cpu_offload
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

import keepmap
from keepmap.errors import InputError, ModelError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.evicting import evicting
from keepmap.kv.method import LayerInput
from keepmap.kv.methods.random import Random
from tests.families import build, tokens

COVERS = ("keepmap.kv.cache.layer",)
IDS = tokens(40)
OPTIONS = {"density": 0.3, "n_sink": 2, "window": 4}
GREEDY = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}


def expected(model: PreTrainedModel, ids: Tensor = IDS, method: str = "h2o") -> keepmap.Eviction:
    return keepmap.evict(model, ids, method, **OPTIONS)


@pytest.mark.filterwarnings("ignore::UserWarning:torch._dynamo")
def test_the_compiler_of_a_model_does_not_follow_our_attention() -> None:
    """It would take minutes for what is not in its reach."""
    followed: list[bool] = []

    class Watching(Random):
        def score(self, layer: LayerInput) -> Tensor:
            followed.append(torch.compiler.is_compiling())
            return super().score(layer)

    model = build("llama")
    evicted = keepmap.evict(model, IDS, Watching(), **OPTIONS)
    model.model.layers[0].self_attn.compile(backend="eager")  # all of the model takes seconds
    with torch.no_grad(), evicting(model, Watching(), **OPTIONS) as run:
        followed.clear()  # of what a first look at the model asks
        logits = model(IDS[None]).logits[0]
    assert torch.equal(run.keep_map.expires, evicted.keep_map.expires)
    torch.testing.assert_close(logits, evicted.logits)
    assert followed == [False, False]


class Wrapped(nn.Module):
    """As adapters, compilers and trainers wrap one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"model": model})

    def forward(self, *args: object, **named: object) -> object:
        return self.inner["model"](*args, **named)


def test_of_a_wrapped_model_the_one_inside_is_asked_for_and_its_calls_are_evicted() -> None:
    model = build("llama")
    wrapped = Wrapped(model)
    with pytest.raises(InputError, match=r"Wrapped; give the LlamaForCausalLM inside of it, its `\.inner\.model`"):
        evicting(wrapped, "h2o", **OPTIONS)
    with evicting(wrapped.inner.model, "h2o", **OPTIONS) as run, torch.no_grad():
        logits = wrapped(IDS[None]).logits[0]
    assert run.keep_map == expected(model).keep_map
    torch.testing.assert_close(logits, expected(model).logits)


@pytest.mark.parametrize(("family", "method"), [("llama", "h2o"), ("gpt2", "key_norm"), ("gpt_oss", "snapkv")])
def test_under_autocast_it_is_in_that_format(family: str, method: str) -> None:
    model = build(family, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        with evicting(model, method, **OPTIONS) as run:
            ids = model.generate(IDS[None], **GREEDY | {"max_new_tokens": 3})[0, :-1]
        evicted = expected(model, ids, method)
    slabs = run.cache.layer(0).held.slabs
    assert slabs.keys.dtype == slabs.values.dtype == torch.bfloat16
    assert float((run.keep_map.expires == evicted.keep_map.expires).float().mean()) > 0.9


def test_another_number_format_than_before_is_refused() -> None:
    model = build("llama", torch.float32)
    cache = EvictingCache(model, "h2o", **OPTIONS)
    with evicting(model), torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            model(IDS[None], past_key_values=cache)
        with pytest.raises(InputError, match="expected keys in bfloat16, as this cache holds, got float32"):
            model(IDS[None, :1], past_key_values=cache)
        with torch.autocast("cpu", torch.bfloat16):
            model(IDS[None, :1], past_key_values=cache)
    assert cache.get_seq_length() == 41


def test_another_attention_set_inside_of_a_block_is_refused_rather_than_not_evicting() -> None:
    model = build("llama")
    with evicting(model, "h2o", **OPTIONS), torch.no_grad():
        model.set_attn_implementation("eager")
        with pytest.raises(ModelError, match="another attention than keepmap's, so that nothing was evicted"):
            model(IDS[None])


def test_attentions_that_the_config_asks_for_are_refused() -> None:
    model = build("llama")
    model.set_attn_implementation("eager")
    model.config.output_attentions = True
    with evicting(model, "h2o", **OPTIONS), torch.no_grad():
        with pytest.raises(InputError, match="`output_attentions` are not at hand"):
            model(IDS[None])
        assert not model(IDS[None], output_attentions=False).attentions


def test_a_copy_that_was_made_inside_says_what_it_is() -> None:
    model = build("llama")
    with evicting(model, "h2o", **OPTIONS):
        other = copy.deepcopy(model)
    with pytest.raises(ModelError, match="a copy that was made inside a `with keepmap.evicting"):
        other(IDS[None])


def test_a_plain_cache_that_has_seen_tokens_says_so() -> None:
    model, filled = build("llama"), DynamicCache()
    with torch.no_grad():
        model(IDS[None], past_key_values=filled)
        with evicting(model, "h2o", **OPTIONS), pytest.raises(InputError, match="got a DynamicCache that has seen tok"):
            model(IDS[None], past_key_values=filled)


@pytest.mark.filterwarnings("ignore:Some parameters are on the meta device")
def test_offloaded_weights(tmp_path) -> None:
    model, evicted = build("llama"), expected(build("llama"))
    cpu_offload(model)
    assert model.device.type == "meta"
    with evicting(model, "h2o", **OPTIONS) as run, torch.no_grad():
        torch.testing.assert_close(model(IDS[None]).logits[0], evicted.logits)
    assert torch.equal(run.keep_map.expires, evicted.keep_map.expires)
    with pytest.raises(ModelError, match="of what weights it is, and .* is offloaded; load the model without"):
        run.cache.save(tmp_path / "cache.safetensors")
    assert not list(tmp_path.iterdir())


class Adapted(nn.Module):
    """A linear layer with an adapter, as PEFT has it: its `weight` is that of the layer without it."""

    def __init__(self, base_layer: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base_layer, self.weight = base_layer, base_layer.weight
        self.down = nn.Linear(base_layer.in_features, rank, bias=False, dtype=base_layer.weight.dtype)
        self.up = nn.Linear(rank, base_layer.out_features, bias=False, dtype=base_layer.weight.dtype)

    def forward(self, states: Tensor) -> Tensor:
        return self.base_layer(states) + self.up(self.down(states))


def test_what_looks_at_the_projection_sees_that_of_the_adapter() -> None:
    torch.manual_seed(3)
    model, merged = build("llama"), build("llama")
    for own, plain in zip(model.model.layers, merged.model.layers, strict=True):
        adapted = Adapted(own.self_attn.o_proj).requires_grad_(False)
        own.self_attn.o_proj = adapted
        plain.self_attn.o_proj.weight.data += adapted.up.weight @ adapted.down.weight
    both = [expected(each, method="criticalkv").keep_map for each in (model, merged)]
    assert torch.equal(both[0].expires, both[1].expires)
    torch.testing.assert_close(both[0].scores, both[1].scores)
    with evicting(model, "criticalkv", **OPTIONS) as run:
        model.generate(IDS[None], **GREEDY | {"max_new_tokens": 1})
    assert torch.equal(run.keep_map.expires, both[1].expires)
