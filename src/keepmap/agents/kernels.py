"""Ways to the same attention of transitions and queries: fused to train, explicit to look, under any mask."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["Attend", "dropping", "explicit", "fused_all_steps", "packed_visible", "some_steps"]

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From queries [B, H, Q, D], keys and values [B, H, N, D] to [B, H, Q, D]; the queries are the last Q positions."""


def packed_visible(n: int, device: torch.device | None = None) -> Bool[Tensor, "{2*n} {2*n}"]:
    """Who sees whom where n transitions are followed by the n queries of their steps.

    Transition i sees transitions 0..i; query i sees transitions 0..i-1 and itself; nobody else sees a query.
    """
    causal = torch.ones(n, n, dtype=torch.bool, device=device).tril()
    nobody = torch.zeros_like(causal)
    itself = torch.eye(n, dtype=torch.bool, device=device)
    return torch.cat([torch.cat([causal, nobody], 1), torch.cat([causal.tril(-1), itself], 1)])


def dropping(visible: Bool[Tensor, "*rows R N"], dropout: float = 0.0) -> Attend:
    """PyTorch's fused kernel under a mask, losing some of the weights."""

    def over(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, attn_mask=visible[..., -q.shape[2] :, :], dropout_p=dropout)

    return over


def explicit(
    visible: Bool[Tensor, "*rows R N"], see: Callable[[Float[Tensor, "B H Q N"]], None] = lambda weights: None
) -> Attend:
    """A softmax under a mask, whose weights are shown to `see`."""

    def over(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        logits = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
        weights = logits.masked_fill(~visible[..., -q.shape[2] :, :], float("-inf")).softmax(-1)
        see(weights)
        return weights @ v

    return over


def fused_all_steps(
    q: Float[Tensor, "B H Q D"], k: Float[Tensor, "B H N D"], v: Float[Tensor, "B H N D"]
) -> Float[Tensor, "B H Q D"]:
    """`packed_visible`'s attention by causal kernels, which do a quarter of the work of one under the mask.

    The queries are all positions, or the last n.
    """
    n = k.shape[2] // 2
    if q.device.type != "cpu" or n < 2:
        return dropping(packed_visible(n, q.device))(q, k, v)
    out: Tensor = _BeforeAndItself.apply(q[:, :, -n:], k[:, :, :n], v[:, :, :n], k[:, :, n:], v[:, :, n:])
    if q.shape[2] == n:
        return out
    transitions = scaled_dot_product_attention(q[:, :, :n], k[:, :, :n], v[:, :, :n], is_causal=True)
    return torch.cat([transitions, out], 2)


def some_steps(steps: Int[Tensor, "B k"], see: Callable[[Float[Tensor, "B H k N"]], None]) -> Attend:
    """n transitions and the queries of k of their steps, whose weights (over n, then each's own) are shown to `see`."""

    def over(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n = k.shape[2] - steps.shape[1]
        queries, scale = q[:, :, -steps.shape[1] :], q.shape[-1] ** -0.5
        later = torch.arange(n, device=steps.device) >= steps[:, None, :, None]
        before = (queries @ k[:, :, :n].transpose(-1, -2) * scale).masked_fill(later, float("-inf"))
        itself = (queries * k[:, :, n:]).sum(-1, keepdim=True) * scale
        weights = torch.cat([before, itself], -1).softmax(-1)
        see(weights)
        out = weights[..., :n] @ v[:, :, :n] + weights[..., n:] * v[:, :, n:]
        if q.shape[2] == steps.shape[1]:
            return out
        seen_by_all = scaled_dot_product_attention(q[:, :, :n], k[:, :, :n], v[:, :, :n], is_causal=True)
        return torch.cat([seen_by_all, out], 2)

    return over


class _BeforeAndItself(torch.autograd.Function):
    """Query i over transitions 0..i-1 and itself.

    The kernel is causal, so it takes queries 1.. over transitions ..n-2 and leaves out each query's own key. This one
    is joined by the log-sum-exp of both; the kernel's own backward pass is right for its part when it is given the
    joint output and the joint log-sum-exp.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, own_k: Tensor, own_v: Tensor) -> Tensor:
        scale = q.shape[-1] ** -0.5
        own = (q * own_k).sum(-1) * scale
        before, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q[:, :, 1:], k[:, :, :-1], v[:, :, :-1], is_causal=True
        )
        joint = own.clone()
        joint[:, :, 1:] = torch.logaddexp(own[:, :, 1:], lse)
        share = (own - joint).exp().unsqueeze(-1)
        out = own_v * share
        out[:, :, 1:] += before * (1 - share[:, :, 1:])
        ctx.save_for_backward(q, k, v, own_k, own_v, out, joint, share)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        q, k, v, own_k, own_v, out, joint, share = ctx.saved_tensors
        (grad,) = grads
        scale = q.shape[-1] ** -0.5
        d_own = share * (grad * (own_v - out)).sum(-1, keepdim=True) * scale
        d_q, d_own_k, d_own_v = d_own * own_k, d_own * q, share * grad
        d_k, d_v = torch.zeros_like(k), torch.zeros_like(v)
        before = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad[:, :, 1:], q[:, :, 1:], k[:, :, :-1], v[:, :, :-1], out[:, :, 1:], joint[:, :, 1:], 0.0, True
        )
        d_q[:, :, 1:] += before[0]
        d_k[:, :, :-1], d_v[:, :, :-1] = before[1], before[2]
        return d_q, d_k, d_v, d_own_k, d_own_v
