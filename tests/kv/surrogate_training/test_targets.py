"""What a surrogate learns: the context stands twice, targets are the paper's, the model is left as found."""

import pytest
import torch

from keepmap.errors import ImpossibleResultError, InputError, ModelError
from keepmap.kv.surrogate_training.targets import FLOOR, repeat_context, require_targets, score_positions
from keepmap.language_model import load_language_model
from tests.families import build
from tests.kv.surrogate_training.texts import Letters, random_llama
from tests.reference.surrogates import kvzip_scores


def state_of(model):
    """What a run might leave behind: the attention that the model names, hooks, dropout."""
    hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]
    return model.config._attn_implementation, hooks, model.training


@pytest.mark.parametrize("tokenizer", [Letters(), Letters("a template")], ids=["plain", "chat"])
def test_the_context_stands_twice(tokenizer):
    repetition = repeat_context(tokenizer, "  some words  ", max_tokens=8)
    ids = repetition.ids.tolist()
    context = [ids[at] for at in repetition.context]
    assert context == tokenizer("some wor", add_special_tokens=False)["input_ids"]
    assert context == [ids[at] for at in repetition.repeated]
    assert repetition.repeated.stop == len(ids) and repetition.repeated.start > repetition.context.stop
    assert repeat_context(Letters(), "words").ids[0] == 1
    given = repeat_context(tokenizer, (5, 6, 7), max_tokens=2)
    assert [int(given.ids[at]) for at in (*given.context, *given.repeated)] == [5, 6, 5, 6]


@pytest.mark.parametrize(
    "text", ["abcdef ghi", "a text that is longer than sixty-four letters, so that it spans blocks. "]
)
def test_targets_are_the_papers(text):
    model = random_llama()
    repetition = repeat_context(Letters(), text)
    before = state_of(model)
    positions = score_positions(load_language_model(model, Letters()), repetition)
    assert state_of(model) == before
    inputs, scores = kvzip_scores(model, repetition.ids, repetition.context, repetition.repeated)
    torch.testing.assert_close(positions.inputs, inputs)
    torch.testing.assert_close(positions.scores, scores.clamp_min(FLOOR).log(), atol=1e-4, rtol=1e-4)


def test_what_no_query_sees_again_is_at_the_floor():
    model = load_language_model(build("gemma2"), Letters())
    positions = score_positions(model, repeat_context(Letters(), "a context that is longer than the sliding window"))
    sliding, full = positions.scores[:, 0], positions.scores[:, 1]
    assert (sliding == torch.tensor(FLOOR, dtype=sliding.dtype).log()).all()
    assert full.std() > 0.1


def test_a_model_without_known_projections_is_refused():
    model = random_llama()
    for layer in model.model.layers:
        layer.self_attn.other = layer.self_attn.o_proj
        del layer.self_attn.o_proj
    with pytest.raises(ModelError, match="no surrogate for LlamaForCausalLM: of its 2 layers, 0 have"):
        require_targets(model, None, repeat_context(Letters(), "some text"))


def test_a_text_that_does_not_fit_twice_says_what_does():
    longest = repeat_context(Letters(), "x" * 40)
    require_targets(random_llama(), len(longest.ids), longest)
    with pytest.raises(InputError, match=r"a text of 40 tokens is read twice, .* max_length=39 fits"):
        require_targets(random_llama(), len(longest.ids) - 1, longest)
    require_targets(random_llama(), len(longest.ids) - 1, repeat_context(Letters(), "x" * 40, 39))


def test_numbers_that_overflow_are_one_line():
    model = random_llama()
    language_model = load_language_model(model, Letters())
    repetition = repeat_context(Letters(), "some text")
    score_positions(language_model, repetition)
    model.model.layers[1].input_layernorm.weight.data[3] = float("nan")
    with pytest.raises(ImpossibleResultError, match="LlamaForCausalLM gives attention inputs or scores that are not"):
        score_positions(language_model, repetition)
