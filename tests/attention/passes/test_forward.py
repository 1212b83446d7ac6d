"""A pass with the attention in our hands: what a layer hands over, and the model as it was found."""

import pytest
import torch
from torch import nn

from keepmap.attention.passes.forward import in_eval_mode, queries_unturned, run
from keepmap.errors import ModelError
from keepmap.language_model import load_language_model
from tests.families import SLIDING, build, tokens

COVERS = ("keepmap.attention.passes.masks",)


def calls(family, n=50):
    """The calls of one pass, each answered by zeros."""
    language_model = load_language_model(build(family))
    results = []

    def attend(call):
        results.append(call)
        return call.values.new_zeros(*call.queries.shape[:2], call.values.shape[2])

    hidden = run(language_model.model, language_model.body, tokens(n), attend)
    return results, hidden


def test_what_a_layer_hands_over():
    (first, second), hidden = calls("llama")
    assert (first.layer, second.layer) == (0, 1) and hidden.shape == (50, 32)
    assert first.queries.shape == (4, 50, 8) and first.keys.shape == first.values.shape == (2, 50, 8)
    assert first.scaling == pytest.approx(8**-0.5) and first.softcap is None and first.sinks is None
    values = first.module.v_proj(first.hidden_states).view(50, 2, 8).transpose(0, 1)
    assert torch.equal(first.values, values)
    assert first.sees_from.tolist() == [0] * 50


def test_windows_caps_and_sinks_of_the_models_own():
    sliding, full, _ = calls("gemma2")[0]
    assert sliding.sees_from.tolist() == [max(0, i - SLIDING + 1) for i in range(50)]
    assert full.sees_from.tolist() == [0] * 50 and full.softcap == 3.0 and full.scaling == pytest.approx(6**-0.5)
    assert torch.equal(calls("gpt_oss")[0][0].sinks, build("gpt_oss").model.layers[0].self_attn.sinks)


def test_queries_before_their_rotation():
    def attend(call):
        plain = queries_unturned(call, 10)
        own = call.module.q_proj(call.hidden_states[:10]).view(10, 4, 8).transpose(0, 1)
        torch.testing.assert_close(plain, own)
        assert not torch.allclose(call.queries[:, 1:10], own[:, 1:])
        return call.values.new_zeros(4, 50, 8)

    model = build("llama")
    run(model, model.model, tokens(50), attend)


def test_the_model_is_left_as_found_also_by_an_error():
    model = build("llama")
    before = model.config._attn_implementation

    def fail(call):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        run(model, model.model, tokens(9), fail)
    assert model.config._attn_implementation == before
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_model_whose_attention_we_do_not_reach_is_not_supported():
    model = build("llama")
    model.model.layers = nn.ModuleList()
    with pytest.raises(ModelError, match="LlamaForCausalLM .*bypasses transformers.AttentionInterface"):
        run(model, model.model, tokens(9), lambda call: call.values)


def test_each_module_gets_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    model[1].eval()
    with in_eval_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False, False]
