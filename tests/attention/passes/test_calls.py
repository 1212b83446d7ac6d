"""Calls that somebody else makes: asked about one by one, in every thread; at the end nothing is left."""

from threading import Thread

import pytest
import torch
from torch import Tensor

import keepmap
from keepmap.attention.passes.calls import calls_in_hands, left_alone
from keepmap.attention.passes.forward import LayerCall, Text
from keepmap.errors import InputError
from tests.families import build, tokens

IDS = tokens(12)


def nothing(call: LayerCall) -> Tensor:
    return call.values.new_zeros(*call.queries.shape[:2], call.values.shape[2])


def logits(model: torch.nn.Module, *args: Tensor, **kwargs: object) -> Tensor:
    with torch.no_grad():
        return model(*args or (IDS[None],), use_cache=False, **kwargs).logits


def test_each_call_is_asked_about_by_the_names_of_its_arguments() -> None:
    model, names = build("llama"), []
    own = logits(model)

    def prepare(named):
        names.append(sorted(named))
        return None if "position_ids" in named else [Text(nothing)]

    with calls_in_hands(model, prepare):
        assert not torch.equal(logits(model), own)
        assert torch.equal(logits(model, position_ids=torch.arange(12)[None]), own)
        with pytest.raises(keepmap.ModelError, match="not supported"):
            logits(model, IDS[None], torch.zeros(1, 12))  # such a mask is not for the attention to see
        with left_alone():
            assert torch.equal(logits(model), own)
        results = []
        thread = Thread(target=lambda: results.append(logits(model)))
        thread.start()
        thread.join()
        assert not torch.equal(results[0], own)
    assert torch.equal(logits(model), own)
    assert names[0] == ["input_ids", "use_cache"] and ["attention_mask", "input_ids", "use_cache"] in names
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("texts", [1, 3])
def test_a_pass_over_other_texts_than_were_named_is_refused(texts: int) -> None:
    model = build("llama")
    with (
        calls_in_hands(model, lambda named: [Text(nothing)] * texts),
        pytest.raises(keepmap.ModelError, match="texts it"),
    ):
        logits(model, torch.stack([IDS, IDS]))


def test_an_argument_may_be_changed() -> None:
    model = build("llama")
    other = logits(model, tokens(12, 1)[None])

    def prepare(named):
        named["input_ids"] = tokens(12, 1)[None]

    with calls_in_hands(model, prepare):
        assert torch.equal(logits(model), other)


def test_a_refusal_and_too_many_arguments_reach_the_caller_and_end_with_the_call() -> None:
    model = build("llama")
    own = logits(model)

    def prepare(named):
        raise InputError("no")

    with calls_in_hands(model, prepare):
        with pytest.raises(InputError, match="no"):
            logits(model)
        with left_alone(), pytest.raises(TypeError):
            model(*[None] * 40)
        with pytest.raises(InputError, match="already"), calls_in_hands(model, prepare):
            pass
        assert keepmap.evict(model, IDS, "random").keep_map.shape[2] == 12
    assert torch.equal(logits(model), own)
