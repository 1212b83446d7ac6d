"""The value: its head, and what it says of itself."""

import pytest
import torch

from keepmap.language_model import load_language_model
from tests.families import build, tokens


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite", "gpt2"])
def test_the_head_gives_the_models_own_logits(family):
    language_model = load_language_model(build(family))
    with torch.no_grad():
        own = language_model.model(tokens(20)[None], use_cache=False)
        hidden = language_model.body(tokens(20)[None], use_cache=False).last_hidden_state[0]
    torch.testing.assert_close(language_model.head(hidden), own.logits[0])
    assert not language_model.head(hidden).requires_grad


def test_where_it_is_kept_is_not_shown(model_folder):
    language_model = load_language_model(model_folder)
    assert language_model.label == model_folder.name and language_model.name == str(model_folder)
    assert str(model_folder.parent) not in repr(language_model) + language_model._repr_html_()


def test_it_says_what_it_is():
    language_model = load_language_model(build("llama"))
    assert language_model.dtype == torch.float64 and language_model.device.type == "cpu"
    text = repr(language_model)
    assert "class LlamaForCausalLM, layers 2, heads 4, KV heads 2, vocabulary 397, positions 2048" in text
    assert "float64 on cpu, tokenizer no" in text and "\n" not in text
    assert ">2048</td>" in language_model._repr_html_()
