"""What a surrogate is trained on, and that training finds what is there."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from keepmap.errors import ModelError
from keepmap.kv.surrogate_training import (
    FLOOR,
    ScoredPositions,
    collect_positions,
    explained_variance,
    repeat_context,
    train_linear,
    train_mlp,
)


class Letters:
    """A tokenizer of letters, with a token before every text, or with a chat template."""

    def __init__(self, chat_template=None):
        self.chat_template = chat_template

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [1] * add_special_tokens + [ord(letter) % 90 + 2 for letter in text]}

    def apply_chat_template(self, turns, tokenize):
        return "".join(f"[{turn['role']}]{turn['content']}[end]" for turn in turns)


def random_llama(**sizes):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, **sizes,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def test_the_context_stands_twice():
    for tokenizer in (Letters(), Letters("a template")):
        repetition = repeat_context(tokenizer, "  some words  ", max_tokens=8)
        context = repetition.ids[repetition.context]
        assert context.tolist() == tokenizer("some wor", add_special_tokens=False)["input_ids"]
        assert torch.equal(context, repetition.ids[repetition.repeated])
        assert repetition.repeated.stop == len(repetition.ids)
        assert repetition.repeated.start > repetition.context.stop
    assert repeat_context(Letters(), "words").ids[0] == 1


def test_targets_are_the_papers():
    """Against obvious code: loops over layers, heads, rows and positions."""
    model = random_llama()
    text = "abcdef ghi"
    samples = collect_positions(model, Letters(), [text], positions_per_text=10)
    repetition = repeat_context(Letters(), text)
    model.set_attn_implementation("eager")
    output = model(repetition.ids[None], output_attentions=True, output_hidden_states=True)
    n = len(text)
    expected = torch.zeros(n, 2, 2)
    inputs = torch.zeros(n, 2, 32)
    for index, layer in enumerate(model.model.layers):
        hidden = layer.input_layernorm(output.hidden_states[index])[0]
        values = layer.self_attn.v_proj(hidden).view(-1, 2, 8)
        for i in range(n):
            at = repetition.context.start + i
            inputs[i, index] = hidden[at]
            for head in range(4):
                written = layer.self_attn.o_proj.weight[:, 8 * head : 8 * head + 8] @ values[at, head // 2]
                for j in range(repetition.repeated.start, repetition.repeated.stop):
                    score = output.attentions[index][0, head, j, at] * written.norm() / hidden[j].norm()
                    expected[i, index, head // 2] = max(expected[i, index, head // 2], score)
    chosen = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(samples.inputs, inputs[chosen])
    torch.testing.assert_close(samples.scores, expected.clamp_min(FLOOR).log()[chosen])


def test_collecting_leaves_the_model_as_found():
    model = random_llama()
    before = model.config._attn_implementation
    collect_positions(model, Letters(), ["some text"])
    assert model.config._attn_implementation == before
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_without_known_projections_is_refused():
    model = random_llama()
    for layer in model.model.layers:
        layer.self_attn.other = layer.self_attn.o_proj
        del layer.self_attn.o_proj
    with pytest.raises(ModelError, match="no surrogate for LlamaForCausalLM"):
        collect_positions(model, Letters(), ["some text"])


def test_ridge_finds_a_linear_truth_and_the_mlp_a_bent_one():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4000, 2, 6, generator=generator) + 1
    straight = inputs @ torch.randn(6, 3, generator=generator) - 7
    train, test = ScoredPositions(inputs[:3000], straight[:3000]), ScoredPositions(inputs[3000:], straight[3000:])
    assert explained_variance(train_linear(train), test).min() > 0.9999
    bent = inputs[..., :3].abs() - 7
    train, test = ScoredPositions(inputs[:3000], bent[:3000]), ScoredPositions(inputs[3000:], bent[3000:])
    mlp = train_mlp(train, hidden_dim=64, epochs=40, batch=128)
    assert explained_variance(mlp, test).min() > 0.95
    assert explained_variance(train_linear(train), test).max() < 0.9
    again = train_mlp(train, hidden_dim=64, epochs=40, batch=128)
    assert all(torch.equal(a, b) for a, b in zip(mlp.parameters(), again.parameters(), strict=True))
