"""The check of the last query: right outputs pass, one wrong number does not, and what is gone is felt or is not."""

from dataclasses import replace

import pytest
import torch

from keepmap.errors import ImpossibleResultError, ModelError
from keepmap.kv.eviction.checks import check_supported, full_attention, last_query_felt
from keepmap.language_model import load_language_model
from tests.families import build
from tests.kv.eviction.calls import layer_call, obvious_output


@pytest.mark.parametrize("options", [{}, {"own_window": 4}, {"softcap": 1.5}, {"with_sinks": True}], ids=str)
def test_full_attention_is_the_whole_matrix(options):
    call = layer_call(**options)
    torch.testing.assert_close(full_attention(call), obvious_output(call, torch.full((2, 30), 30)))


@pytest.mark.parametrize("options", [{}, {"own_window": 20}, {"softcap": 1.5}, {"with_sinks": True}], ids=str)
def test_what_the_last_query_no_longer_sees_is_felt(options):
    call = layer_call(**options)
    expires = torch.full((2, 30), 30)
    assert not last_query_felt(call, expires, obvious_output(call, expires))
    expires[1, 25] = 29
    assert last_query_felt(call, expires, obvious_output(call, expires))


def test_what_had_no_weight_for_the_last_query_is_not_felt():
    call = layer_call(own_window=5)
    expires = torch.full((2, 30), 30)
    expires[:, 3] = 29  # outside of the model's own window
    assert not last_query_felt(call, expires, obvious_output(call, expires))


def test_an_output_over_something_else_is_impossible():
    call = layer_call()
    expires = torch.full((2, 30), 30)
    output = obvious_output(call, expires)
    expires[0, 7] = 20
    with pytest.raises(ImpossibleResultError, match="layer 0: the last query's attention"):
        last_query_felt(call, expires, output)
    with pytest.raises(ImpossibleResultError):
        last_query_felt(call, expires, torch.full_like(output, torch.nan))


def test_a_model_that_is_not_what_its_config_says_is_not_supported():
    language_model = load_language_model(build("llama"))
    check_supported(language_model)
    with pytest.raises(ModelError, match="KV heads per layer"):
        check_supported(replace(language_model, model=build("llama"), n_kv_heads=3))
