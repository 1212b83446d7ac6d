"""Calls inside a block that a user expects to work as ever: a chat on a plain cache, one cut, assisted decoding."""

from copy import deepcopy

import pytest
import torch
from transformers import DynamicCache, PreTrainedModel

from keepmap.errors import InputError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.evicting import evicting
from tests.families import build, tokens
from tests.kv.cache.test_evicting import IDS, OPTIONS, expected, generated, state


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    """Whatever the tests did to it: it is as it was."""
    model = build("llama")
    before = state(model)
    yield model
    assert state(model) == before


def test_a_conversation_on_a_plain_cache_of_the_users_own(model: PreTrainedModel) -> None:
    plain, text = DynamicCache(config=model.config), IDS
    with evicting(model, "h2o", **OPTIONS) as run:
        for turn in range(3):
            text = generated(model, torch.cat([text, tokens(7, turn)]), past_key_values=plain)
            assert run.keep_map == expected(model, text[:-1]) and plain.get_seq_length() == len(text) - 1
    with pytest.raises(InputError, match="inside `with keepmap.evicting"):
        generated(model, text, past_key_values=plain)
    with evicting(model):  # another block goes on with it as with one of ours
        text = generated(model, torch.cat([text, tokens(7, 3)]), past_key_values=plain)
    assert run.cache.keep_map() == expected(model, text[:-1])
    with evicting(model, "key_norm", density=0.5) as run, torch.no_grad():
        plain.reset()
        model(IDS[None], past_key_values=plain)
        assert run.keep_map.info["method"] == "key_norm", "what is empty again is filled as this block says"
    with evicting(model, "h2o", **OPTIONS) as run, torch.no_grad():
        plain.reset()
        model(IDS[None].repeat(2, 1), past_key_values=plain)
        assert len(run.cache.rows) == 2 and plain.get_seq_length() == 40
        plain.reset()
        model(IDS[None], past_key_values=plain)
        assert run.keep_map == expected(model, IDS) and len(run.report().moments) == 1
        for change in (
            lambda: plain.crop(-3),
            lambda: plain.reorder_cache(torch.tensor([0, 0])),
            lambda: plain.batch_repeat_interleave(2),
            lambda: plain.batch_select_indices(torch.tensor([0])),
            lambda: deepcopy(plain),
        ):
            with pytest.raises(InputError, match=r"`fork\(\)`|keepmap.EvictingCache"):
                change()
        again = deepcopy(run.cache)
        model(tokens(5)[None], past_key_values=again)
        assert again.language_model.model is model and run.cache is again
        assert plain.get_seq_length() == 40 and again.get_seq_length() == 45


@torch.no_grad()
def test_once_a_plain_call_that_nothing_goes_on_from_is_said(model: PreTrainedModel) -> None:
    last = "the cut came after the last token: no query has seen what it left"

    def plain_calls(count: int, **options: object) -> None:
        with evicting(model, "h2o", mode="once", **OPTIONS, **options) as run:
            for _ in range(count):
                model(IDS[None])
        assert repr(run.report()).endswith(f"; {run.report().note})")

    with pytest.warns(UserWarning, match=rf'^in mode "once" a call .* full cache gives \({last}\); give') as caught:
        plain_calls(3)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="nothing evicted yet: the next cut comes after 1 more token"):
        plain_calls(1, context_length=41)
    # What goes on, what generates and what is cut on its way evicts, and says nothing.
    with evicting(model, "h2o", mode="once", **OPTIONS) as run:
        cache = model(IDS[None]).past_key_values
        assert run.report().note == last
        model(tokens(2)[None], past_key_values=cache)
        generated(model)
        assert run.report().note is None
        with pytest.raises(InputError, match="expected `context_length` where a call has use_cache=False, got none"):
            model(IDS[None], use_cache=False)
        with pytest.raises(InputError, match="expected `context_length` where a call has use_cache=False, got none"):
            generated(model, use_cache=False)
    with evicting(model, "h2o", mode="once", context_length=30, **OPTIONS):
        model(IDS[None], use_cache=False)


@pytest.mark.parametrize("own", [False, True], ids=["a fresh cache", "a cache by hand"])
@pytest.mark.parametrize(
    "arguments", [{"prompt_lookup_num_tokens": 2}, {"assistant_model": build("llama", seed=5)}], ids=str
)
def test_what_takes_positions_back_is_refused_before_anything_runs(
    model: PreTrainedModel, arguments: dict[str, object], own: bool
) -> None:
    passes = []
    given = {"past_key_values": EvictingCache(model, "h2o", **OPTIONS)} if own else {}
    handle = model.model.layers[0].register_forward_pre_hook(lambda *_: passes.append(1))
    try:
        with evicting(model, None if own else "h2o", **({} if own else OPTIONS)) as run:
            with pytest.raises(InputError, match="take positions back"):
                generated(model, **arguments, **given)
            assert run.cache is None and not passes
            model.generation_config.prompt_lookup_num_tokens = 2
            with pytest.raises(InputError, match="take positions back"):
                generated(model, **given)
            assert run.cache is None and not passes
    finally:
        model.generation_config.prompt_lookup_num_tokens = None
        handle.remove()
    with evicting(model):
        assert len(generated(model, **arguments)) == 46, "without a method it is the model's own"
