"""Bodies of transformers inside any module: the weights are those that transformers itself gives."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, LlamaConfig, LlamaModel

import keepmap
from keepmap.errors import InputError, ModelError

N, STATE, ACTIONS = 7, 2, 5


def gpt2(**options) -> GPT2Model:
    torch.manual_seed(0)
    tokens = {"vocab_size": 1, "bos_token_id": None, "eos_token_id": None}
    config = GPT2Config(n_embd=16, n_layer=3, n_head=4, n_positions=64, **tokens, **options)
    return GPT2Model(config).eval()


class DecisionTransformer(nn.Module):
    """The usual shape: (return to go, state, action) of each step are embedded, and a GPT2Model reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = gpt2()
        self.of_return, self.of_state = nn.Linear(1, 16), nn.Linear(STATE, 16)
        self.of_action, self.act = nn.Embedding(ACTIONS, 16), nn.Linear(16, ACTIONS)

    def embedded(self, returns, states, actions):
        parts = (self.of_return(returns[..., None]), self.of_state(states), self.of_action(actions))
        return torch.stack(parts, 2).flatten(1, 2)

    def forward(self, returns, states, actions, attention_mask=None):
        embedded = self.embedded(returns, states, actions)
        hidden = self.transformer(inputs_embeds=embedded, attention_mask=attention_mask).last_hidden_state
        return self.act(hidden[:, 1::3])


def given(rows: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "returns": torch.rand(rows, N),
        "states": torch.randn(rows, N, STATE),
        "actions": torch.randint(ACTIONS, (rows, N)),
    }


def own_weights(body, embedded):
    before = body.config._attn_implementation
    body.set_attn_implementation("eager")
    with torch.no_grad():
        weights = body(inputs_embeds=embedded, output_attentions=True).attentions
    body.set_attn_implementation(before)
    return torch.cat(weights)


@pytest.mark.parametrize("options", [{}, {"scale_attn_by_inverse_layer_idx": True}, {"reorder_and_upcast_attn": True}])
@pytest.mark.parametrize("how", ["a mapping", "a tensor"])
def test_a_body_by_itself(options, how):
    body, embedded = gpt2(**options), torch.randn(1, N, 16)
    inputs = {"inputs_embeds": embedded} if how == "a mapping" else embedded
    profile = keepmap.profile_attention(body, inputs, queries=list(range(N)))
    assert profile.shape == (3, 4, N) and profile.info["model"] == "GPT2Model"
    torch.testing.assert_close(profile.rows, own_weights(body, embedded), rtol=0, atol=1e-6)


def test_a_body_with_kv_heads_and_rotary_positions():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=9, hidden_size=16, intermediate_size=8, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    body, embedded = LlamaModel(config).eval(), torch.randn(1, N, 16)
    profile = keepmap.profile_attention(body, {"inputs_embeds": embedded}, queries=list(range(N)))
    assert profile.kv_heads == (0, 0, 1, 1)
    torch.testing.assert_close(profile.rows, own_weights(body, embedded), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mask", [False, True])
def test_a_decision_transformer_of_ones_own_is_left_as_it_was(mask):
    model = DecisionTransformer().train()
    named = given() | ({"attention_mask": torch.ones(1, 3 * N, dtype=torch.long)} if mask else {})
    before = model.transformer.config._attn_implementation
    profile = keepmap.profile_attention(model, named, queries=list(range(3 * N)))
    assert profile.shape == (3, 4, 3 * N) and profile.info["model"] == "DecisionTransformer"
    assert model.training and model.transformer.training and model.transformer.config._attn_implementation == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    model.eval()
    with torch.no_grad():
        embedded = model.embedded(**given())
    torch.testing.assert_close(profile.rows, own_weights(model.transformer, embedded), rtol=0, atol=1e-6)


def test_what_cannot_be_read_is_one_line():
    model, padded = DecisionTransformer().eval(), torch.ones(1, 3 * N, dtype=torch.long)
    padded[0, :3] = 0
    with pytest.raises(ModelError, match="the texts it was given are 1, and it attends to 2 at once"):
        keepmap.profile_attention(model, given(2))
    with pytest.raises(
        ModelError, match="the attention mask hides 3 positions, which is not supported; give no padding"
    ):
        keepmap.profile_attention(model, given() | {"attention_mask": padded})
    with pytest.raises(InputError, match="expected `inputs` of DecisionTransformer to be a tensor, .* got 3"):
        keepmap.profile_attention(model, 3)
    with pytest.raises(InputError, match="`keep_map` is for language models"):
        keepmap.profile_attention(
            model, given(), keep_map=keepmap.evict("tiny", "one two " * 9, "streaming_llm").keep_map
        )
    bert = BertModel(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)).eval()
    with pytest.raises(ModelError, match="not supported"):
        keepmap.profile_attention(bert, torch.randn(1, N, 16))


def test_an_output_that_is_not_the_same_twice_is_refused():
    class Noisy(DecisionTransformer):
        def forward(self, *args, **named):
            return super().forward(*args, **named) + torch.randn(1)

    with pytest.raises(ModelError, match="Noisy is not supported: .* or it is not the same twice"):
        keepmap.profile_attention(Noisy().eval(), given())
