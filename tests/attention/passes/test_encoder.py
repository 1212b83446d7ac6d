"""Models of nn.MultiheadAttention: equal to the weights that PyTorch itself gives, however the mask is given."""

import math

import pytest
import torch
from torch import nn

from keepmap.attention.profiling import profile_attention
from keepmap.errors import InputError, ModelError
from tests.reference.attention import statistics

N = 25


def encoder(layers=2, **options):
    torch.manual_seed(0)
    options = {"batch_first": True, "dropout": 0.5} | options
    layer = nn.TransformerEncoderLayer(16, 4, 32, **options)
    model = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).double()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model.requires_grad_(False)


def own_weights(model, x, **masks):
    """PyTorch's weights [L, H, N, N]; without the fast path, which takes numbers in a mask for bools."""
    results = []
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    for layer in model.layers:
        inner = layer.norm1(x) if layer.norm_first else x
        _, weights = layer.self_attn(inner, inner, inner, need_weights=True, average_attn_weights=False, **masks)
        results.append(weights)
        mask = {"src_mask": masks.get("attn_mask"), "src_key_padding_mask": masks.get("key_padding_mask")}
        x = layer(x, **mask)
    torch.backends.mha.set_fastpath_enabled(True)
    return torch.cat(results)


def causal_mask(kind):
    later = torch.ones(N, N, dtype=torch.bool).triu(1)
    return later if kind == "bool" else torch.zeros(N, N).double().masked_fill(later, -math.inf)


def compare(profile, weights):
    for layer, own in enumerate(weights):
        expected = statistics(own, own > 0, profile.n_sink, profile.window, profile.measured.tolist())
        for name in vars(expected):
            result, wanted = getattr(profile, name)[layer].double(), getattr(expected, name).double()
            torch.testing.assert_close(result, wanted, rtol=1e-7, atol=1e-7, equal_nan=True)
    torch.testing.assert_close(profile.rows[:, :, 0], weights[:, :, -1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("mask", [None, "bool", "float", "bias"])
@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_under_every_kind_of_mask(norm_first, mask, training):
    model = encoder(norm_first=norm_first)
    x = torch.randn(1, N, 16).double()
    given = torch.randn(N, N).double() if mask == "bias" else None if mask is None else causal_mask(mask)
    weights = own_weights(model, x, attn_mask=given)
    model.train(training)
    profile = profile_attention(model, {"src": x, "mask": given}, window=6)
    compare(profile, weights)
    assert all((layer.bias is not None) == (mask == "bias") for layer in profile.captured)
    assert model.training == training


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_padding_is_left_out(kind):
    model = encoder()
    x, padding = torch.randn(1, N, 16).double(), torch.zeros(1, N, dtype=torch.bool)
    padding[0, [0, 1, 2, 11, 24]] = True
    real = ~padding[0]
    given = padding if kind == "bool" else torch.zeros(1, N).double().masked_fill(padding, -math.inf)
    mask = causal_mask(kind).index_fill(1, torch.tensor([0]), 0)  # so that nobody sees nothing
    mask[:3, :3] = 0
    weights = own_weights(model, x, attn_mask=mask, key_padding_mask=given).nan_to_num(0.0)
    profile = profile_attention(model, {"src": x, "mask": mask, "src_key_padding_mask": given})
    assert profile.shape == (2, 4, 20)
    torch.testing.assert_close(profile.rows[0, :, 0], weights[0][:, 23, real], rtol=0, atol=1e-10)
    bare = profile_attention(model, {"src": x, "src_key_padding_mask": given})
    own = own_weights(model, x, key_padding_mask=given)
    compare(bare, own[:, :, real][..., real])


def test_numbers_in_a_padding_mask_are_refused():
    with pytest.raises(ModelError, match="0 and -inf"):
        profile_attention(encoder(), {"src": torch.randn(1, N, 16).double(), "src_key_padding_mask": torch.rand(1, N)})
    hidden = torch.ones(1, N, dtype=torch.bool)
    with pytest.raises(InputError, match="hides every position"):
        profile_attention(encoder(), {"src": torch.randn(1, N, 16).double(), "src_key_padding_mask": hidden})


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("shape", ["alone", "batch of 1"])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"vdim": 5}], ids=str)
def test_an_attention_itself(batch_first, shape, options):
    torch.manual_seed(0)
    model = nn.MultiheadAttention(16, 4, batch_first=batch_first, **options).double()
    x = torch.randn(N, 16).double()
    if shape != "alone":
        x = x[None] if batch_first else x[:, None]
    value = torch.randn(*x.shape[:-1], 5).double() if "vdim" in options else x
    own = model(x, x, value, average_attn_weights=False)[1].reshape(1, 4, N, N)
    inputs = (x, x, value) if "vdim" in options else x
    compare(profile_attention(model, inputs), own.detach())


def test_a_mask_per_head_and_the_causal_hint():
    torch.manual_seed(0)
    model = nn.MultiheadAttention(16, 4, batch_first=True).double()
    x, mask = torch.randn(1, N, 16).double(), torch.rand(4, N, N) < 0.3
    mask[:, torch.arange(N), torch.arange(N)] = False
    own = model(x, x, x, attn_mask=mask, average_attn_weights=False)[1]
    compare(profile_attention(model, (x, x, x, None, True, mask)), own.detach())
    causal = causal_mask("float")
    own = model(x, x, x, attn_mask=causal, average_attn_weights=False)[1]
    named = {"query": x, "key": x, "value": x, "attn_mask": causal, "is_causal": True, "need_weights": False}
    compare(profile_attention(model, named), own.detach())


def test_the_fast_path_and_the_model_are_left_as_found():
    model = encoder().eval()
    x = torch.randn(1, N, 16).double()
    for enabled in (True, False):
        torch.backends.mha.set_fastpath_enabled(enabled)
        try:
            profile_attention(model, x)
            with pytest.raises(InputError):
                profile_attention(model, torch.randn(3, N, 16).double())
            assert torch.backends.mha.get_fastpath_enabled() == enabled
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
    assert not any(module._forward_pre_hooks for module in model.modules())


class Lookup(nn.Module):
    """Attends to another sequence."""

    def __init__(self, **options):
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 4, **options)

    def forward(self, x):
        return self.inner(x, x if self.inner.add_zero_attn or self.inner.bias_k is not None else x + 1, x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(16, 4), "nothing was captured: Linear called no nn.MultiheadAttention"),
        (Lookup(), "inner is not supported: it attends to another sequence"),
        (Lookup(add_zero_attn=True), "inner is not supported: it adds a position"),
        (Lookup(add_bias_kv=True), "inner is not supported: it adds a position"),
    ],
    ids=["no attention", "other sequence", "zero", "bias"],
)
def test_what_has_no_profile_is_refused_by_name(model, message):
    with pytest.raises(ModelError, match=message) as raised:
        profile_attention(model, torch.randn(N, 16))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.randn(3, N, 16).double(), "expected one sequence, as a batch of 1, got 3 at once"),
        (torch.randn(1, 1, 16).double(), "expected a context of two positions or more, got 1"),
    ],
    ids=["batch", "one position"],
)
def test_more_or_less_than_a_sequence_is_refused(inputs, message):
    with pytest.raises(InputError, match=message):
        profile_attention(encoder(), inputs)


def test_a_keep_map_is_for_language_models():
    from keepmap.core.keep_map import KeepMap

    keep_map = KeepMap(torch.full((2, 4, N), N), torch.zeros(2, 4, N))
    with pytest.raises(InputError, match="for language models"):
        profile_attention(encoder(), torch.randn(1, N, 16).double(), keep_map=keep_map)


def test_damaged_weights_are_refused():
    model = encoder()
    model.layers[1].self_attn.in_proj_weight.data[0, 0] = math.nan
    with pytest.raises(ModelError, match="layer 1: its attention is NaN"):
        profile_attention(model, torch.randn(1, N, 16).double())
