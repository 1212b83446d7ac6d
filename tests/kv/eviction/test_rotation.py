"""The rotation that is found turns queries as the model's own code does."""

import pytest
import torch

from keepmap.attention.passes.forward import LayerCall, queries_unturned, run
from keepmap.errors import ModelError
from keepmap.kv.eviction.checks import full_attention
from keepmap.kv.eviction.rotation import rotation_of
from keepmap.kv.scoring.rotary import unrotated
from keepmap.language_model import load_language_model
from tests.families import build, tokens


def seen_by_layer(family, look, n=20, model=None):
    """What `look(model, call)` gives for each layer of one pass."""
    language_model = load_language_model(model or build(family))
    results = []

    def attend(call: LayerCall):
        results.append(look(language_model.model, call))
        return full_attention(call)

    run(language_model.model, language_model.body, tokens(n), attend)
    return results


@pytest.mark.parametrize("family", ["llama", "llama_yarn", "gemma3", "gpt_neox", "phi3", "gpt_oss"])
def test_it_undoes_what_every_layer_did(family):
    def look(model, call):
        return call.queries, rotation_of(model, call), queries_unturned(call, 20)

    for queries, rotation, plain in seen_by_layer(family, look):
        assert rotation is not None
        torch.testing.assert_close(unrotated(queries, rotation), plain, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(queries[:, 1:], plain[:, 1:], atol=0.1)


def test_each_kind_of_layer_has_its_own():
    sliding, full, again = seen_by_layer("gemma3", rotation_of)
    assert not torch.allclose(sliding.frequency, full.frequency)
    assert torch.equal(sliding.frequency, again.frequency)


def test_a_layer_without_rotation_has_none():
    assert seen_by_layer("gpt2", rotation_of) == [None, None]


def test_a_rotation_that_no_buffer_explains_is_refused():
    def look(model, call):
        if call.layer == 1:
            model.model.rotary_emb.inv_freq.mul_(1.5)
        rotation_of(model, call)

    with pytest.raises(ModelError, match="rotation of layer 1"):
        seen_by_layer("llama", look)
