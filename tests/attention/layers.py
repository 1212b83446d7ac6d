"""Attention layers made up from random numbers, with what each head sees."""

import torch
from torch import Tensor

from keepmap.attention.layer import AttentionLayer, causal
from tests.reference.attention import dense_weights

__all__ = ["random_layer", "visible", "weights"]


def random_layer(
    n: int = 150, heads: int = 4, kv_heads: int = 2, *, own_window: int | None = None, evicting: bool = False
) -> AttentionLayer:
    """A causal layer of float64, with a sliding window and with expiries where asked for."""
    generator = torch.Generator().manual_seed(n)
    position = torch.arange(n)
    starts, ends = causal(n)
    lifetime = torch.randint(1, 2 * n, (kv_heads, n), generator=generator)
    return AttentionLayer(
        layer=0,
        queries=2 * torch.randn(heads, n, 4, generator=generator, dtype=torch.float64),
        keys=torch.randn(kv_heads, n, 4, generator=generator, dtype=torch.float64),
        scaling=0.5,
        sees_from=starts if own_window is None else (position - own_window + 1).clamp(min=0),
        sees_until=ends,
        expires=(position + lifetime).clamp(max=n) if evicting else None,
    )


def visible(layer: AttentionLayer) -> Tensor:
    """Bool [H, N, N], from the definition."""
    position = torch.arange(layer.n)
    seen = (position >= layer.sees_from[:, None]) & (position < layer.sees_until[:, None])
    seen = seen.expand(layer.n_heads, layer.n, layer.n)
    if layer.expires is not None:
        seen = seen & (position[:, None] < layer.expires.repeat_interleave(layer.group, 0)[:, None])
    return seen


def weights(layer: AttentionLayer) -> Tensor:
    """The whole softmax [H, N, N]."""
    return dense_weights(layer.queries, layer.keys, visible(layer), layer.scaling)
