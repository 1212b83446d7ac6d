"""One profile of each kind of model, and what the request decides. (Figures: conformance and test_statistics.)"""

import pytest
import torch
from torch import nn

from keepmap.attention.layer import AttentionLayer, causal
from keepmap.attention.profiling import AttentionSource, profile_attention, strongest_attention
from keepmap.errors import InputError, ModelError
from keepmap.kv.eviction.evict import evict
from keepmap.language_model import load_language_model
from tests.attention.layers import random_layer, weights
from tests.families import build, tokens


class Agent:
    """A source of three made-up layers."""

    name = "agent"

    def attention_layers(self, inputs):
        for index, n in enumerate(inputs):
            layer = random_layer(n)
            yield AttentionLayer(
                layer=index,
                queries=layer.queries + index,
                keys=layer.keys,
                scaling=0.5,
                sees_from=causal(n)[0],
                sees_until=causal(n)[1],
            )


def test_a_source_is_profiled_layer_by_layer():
    assert isinstance(Agent(), AttentionSource)
    profile = profile_attention(Agent(), [40, 40, 40], layers=[2, 0], heads=[3], queries="last")
    assert (profile.layers, profile.heads, profile.kv_heads, profile.shape) == ((0, 2), (3,), (1,), (2, 1, 40))
    torch.testing.assert_close(profile.rows[0, 0, 0], weights(random_layer(40))[3, -1])
    assert (profile.info["model"], profile.info["n_layers"], profile.info["n_heads"]) == ("agent", 3, 4)
    assert profile.labels is None and profile.landmarks is None


def test_a_language_model_by_any_of_its_forms():
    model = build("llama")
    forms = [profile_attention(form, tokens(30)) for form in (model, load_language_model(model))]
    assert torch.equal(*(profile.entropy for profile in forms))
    tiny = profile_attention("tiny", "hello there")
    assert len(tiny.labels) == tiny.shape[2] and "".join(tiny.labels).startswith("hello")


def test_some_layers_are_what_all_layers_say_of_them():
    model = build("llama")
    whole, part = profile_attention(model, tokens(30)), profile_attention(model, tokens(30), layers=1, heads=[1, 2])
    torch.testing.assert_close(part.entropy[0], whole.entropy[1, 1:3])
    assert len(part.captured) == 1 and part.captured[0].n_heads == 2


def test_under_an_eviction_nothing_goes_to_what_is_gone():
    model = build("llama")
    eviction = evict(load_language_model(model), tokens(40), "streaming_llm", n_sink=2, window=6)
    keep_map = eviction.keep_map
    profile = profile_attention(model, tokens(40), keep_map=keep_map, queries="last")
    of_eviction = profile_attention(model, tokens(40), keep_map=eviction, queries="last")
    torch.testing.assert_close(of_eviction.rows, profile.rows, rtol=0, atol=0)
    assert profile.info["evicted_by"] == "streaming_llm"
    seen = profile.rows[0, 0, 0].nonzero().flatten().tolist()
    assert seen == [0, 1, *range(33, 40)]


def test_progress_runs_over_the_layers_that_are_measured():
    shares: list[float] = []
    profile_attention(Agent(), [40, 40, 40], layers=[0, 1], progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and 0.5 in shares


def test_what_has_no_profile_is_one_line():
    keep_map = evict(load_language_model(build("llama")), tokens(40), "random").keep_map
    with pytest.raises(InputError, match="for language models"):
        profile_attention(Agent(), [40], keep_map=keep_map)
    with pytest.raises(InputError, match="keepmap.evict from the same text"):
        profile_attention(build("llama"), tokens(30), keep_map=keep_map)
    with pytest.raises(ModelError, match="differ in positions or heads"):
        profile_attention(Agent(), [40, 41])
    with pytest.raises(ModelError, match="nothing was captured"):
        profile_attention(nn.Linear(2, 2), torch.zeros(3, 2))


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_oss"])
def test_the_strongest_attention_is_the_largest_weight_over_the_length_of_the_input(family):
    language_model = load_language_model(build(family))
    ids, n, queries, positions = tokens(150), 150, range(60, 140), range(3, 70)
    profile = profile_attention(language_model, ids, queries=torch.arange(n))
    everywhere = strongest_attention(language_model, ids, range(n), range(n))
    layers = strongest_attention(language_model, ids, queries, positions)
    assert len(layers) == language_model.n_layers
    for index, layer in enumerate(layers):
        hidden_states = everywhere[index].hidden_states
        weights_over_lengths = profile.rows[index] / hidden_states.norm(dim=-1)[:, None]
        torch.testing.assert_close(layer.weight, weights_over_lengths[:, 60:140, 3:70].amax(dim=1))
        assert torch.equal(layer.hidden_states, hidden_states[3:70])
        assert torch.equal(layer.values, everywhere[index].values[:, 3:70])
