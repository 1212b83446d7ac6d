"""The comparison with the model's own logits: passes what changes nothing, once, and names what does."""

from dataclasses import replace

import pytest
import torch

from keepmap.attention.passes.forward_check import check_forward
from keepmap.errors import ModelError
from keepmap.kv.eviction.checks import full_attention
from keepmap.language_model import load_language_model
from tests.families import build


def test_it_is_done_once_for_each_model_and_attention():
    language_model, calls = load_language_model(build("llama")), []

    def attend(call):
        calls.append(call.layer)
        return full_attention(call)

    check_forward(language_model, attend)
    check_forward(language_model, attend)
    assert calls == [0, 1]


def test_an_attention_that_changes_the_logits_is_refused():
    def halved(call):
        return full_attention(call) / 2

    language_model = load_language_model(build("llama"))
    for _ in range(2):  # a failure is not remembered as a success
        with pytest.raises(ModelError, match="logits are off by .*% of their spread"):
            check_forward(language_model, halved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"n_layers": 3}, "2 of its 3 layers"), ({"n_kv_heads": 4}, "4 KV heads per layer, its layers have 2")],
    ids=str,
)
def test_a_config_that_does_not_describe_the_model_is_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        check_forward(replace(load_language_model(build("llama")), **changes), full_attention)


def test_damaged_weights_are_named():
    model = build("llama")
    model.lm_head.weight[0] = torch.inf
    with pytest.raises(ModelError, match="NaN or infinite: its weights are damaged"):
        check_forward(load_language_model(model), full_attention)
