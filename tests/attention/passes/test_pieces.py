"""Feed-forward networks in pieces give what they give whole, for every family, and the model is left as it was."""

import pytest
import torch
from torch import nn

from keepmap.attention.passes import pieces
from keepmap.attention.passes.forward import run
from keepmap.attention.passes.pieces import in_pieces, is_feed_forward
from keepmap.kv.eviction.checks import full_attention
from keepmap.language_model import load_language_model
from tests.families import FAMILIES, build, tokens


def lengths_seen(model):
    """How many positions each call of an activation between two projections is given: a list that grows."""
    seen = []
    for module in model.modules():
        if is_feed_forward(module):
            module.act_fn.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[1]))
    return seen


@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_give_what_the_whole_gives(family, monkeypatch):
    language_model = load_language_model(build(family))
    model, body = language_model.model, language_model.body
    whole = run(model, body, tokens(50), full_attention)
    monkeypatch.setattr(pieces, "PIECE", 16)
    torch.testing.assert_close(run(model, body, tokens(50), full_attention), whole, rtol=1e-5, atol=1e-6)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_networks_see_no_more_than_a_piece(monkeypatch):
    language_model = load_language_model(build("llama"))
    seen = lengths_seen(language_model.model)
    monkeypatch.setattr(pieces, "PIECE", 16)
    run(language_model.model, language_model.body, tokens(50), full_attention)
    assert seen == [16, 16, 16, 2, 0] * 2
    seen.clear()
    run(language_model.model, language_model.body, tokens(16), full_attention)
    assert seen == [16, 16]


def test_passes_of_others_go_on_as_they_are(monkeypatch):
    model = build("llama")
    seen = lengths_seen(model)
    monkeypatch.setattr(pieces, "PIECE", 16)
    with in_pieces(model, lambda: False):
        model(tokens(50)[None])
    assert seen == [50, 50]


def test_what_is_no_feed_forward_network():
    mlp = build("llama").model.layers[0].mlp
    assert is_feed_forward(mlp)
    assert not is_feed_forward(build("gpt_oss").model.layers[0].mlp), "a mixture of experts"
    assert not is_feed_forward(nn.Sequential(nn.Linear(2, 2))), "not of transformers"
    mlp.register_forward_hook(lambda module, args, output: None)
    assert not is_feed_forward(mlp), "somebody listens to it"


def test_an_error_in_a_piece_leaves_no_hook(monkeypatch):
    language_model = load_language_model(build("llama"))
    monkeypatch.setattr(pieces, "PIECE", 16)

    def fail(module, args, output):
        raise RuntimeError("stop")

    handle = language_model.model.model.layers[1].mlp.act_fn.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="stop"):
        run(language_model.model, language_model.body, tokens(50), full_attention)
    handle.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in language_model.model.modules())
