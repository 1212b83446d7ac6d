"""The baseline's pass is the model's own."""

import pytest
import torch

from keepmap.errors import ModelError
from keepmap.kv.eviction.dense import dense
from keepmap.language_model import load_language_model
from tests.families import build, tokens


def test_it_gives_the_models_own_last_hidden_states():
    model = build("llama")
    result = dense(load_language_model(model), tokens(30))
    with torch.no_grad():
        own = model(tokens(30)[None], output_hidden_states=True, use_cache=False).hidden_states[-1][0]
    assert torch.equal(result, own)


def test_a_damaged_model_is_refused_before_anything_is_measured():
    model = build("llama")
    model.lm_head.weight[5] = torch.nan
    with pytest.raises(ModelError, match="NaN or infinite"):
        dense(load_language_model(model), tokens(30))
