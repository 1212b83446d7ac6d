"""A layer's call made up from random numbers, and its attention in the obvious way."""

import torch
from torch import Tensor, nn

from keepmap.attention.passes.forward import LayerCall
from tests.reference.attention import dense_weights

__all__ = ["layer_call", "obvious_output", "sees"]


def layer_call(
    n: int = 30,
    heads: int = 4,
    kv_heads: int = 2,
    *,
    own_window: int | None = None,
    softcap: float | None = None,
    with_sinks: bool = False,
    seed: int = 0,
) -> LayerCall:
    """One layer of float64, with a sliding window, a cap and learned sinks where asked for."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    position = torch.arange(n)
    return LayerCall(
        layer=0,
        module=nn.Identity(),
        hidden_states=normal(n, 8),
        queries=2 * normal(heads, n, 6),
        keys=normal(kv_heads, n, 6),
        values=normal(kv_heads, n, 5),
        sees_from=torch.zeros_like(position) if own_window is None else (position - own_window + 1).clamp(min=0),
        scaling=0.5,
        softcap=softcap,
        sinks=normal(heads) if with_sinks else None,
        rotary=None,
    )


def sees(call: LayerCall, expires: Tensor) -> Tensor:
    """Bool [H, N, N]: what each query sees, by the contract."""
    position = torch.arange(call.keys.shape[1])
    group = call.queries.shape[0] // call.keys.shape[0]
    own = (position <= position[:, None]) & (position >= call.sees_from[:, None])
    return own & (position[:, None] < expires.repeat_interleave(group, 0)[:, None])


def obvious_output(call: LayerCall, expires: Tensor) -> Tensor:
    """The layer's output [H, N, Dv], from the whole N x N matrix."""
    group = call.queries.shape[0] // call.keys.shape[0]
    visible = sees(call, expires)
    weights = dense_weights(call.queries, call.keys, visible, call.scaling, call.softcap, call.sinks)
    return weights @ call.values.repeat_interleave(group, 0)
