"""What a profile says, from the whole N x N matrix and by its definition: slow and obvious."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Reference", "dense_weights", "statistics"]


def dense_weights(
    queries: Tensor,
    keys: Tensor,
    visible: Tensor,
    scaling: float,
    softcap: float | None = None,
    sinks: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """The softmax [H, N, N] of queries [H, N, D] over keys [G, N, D], where `visible` [H, N, N] says so."""
    logits = scaling * queries @ keys.repeat_interleave(queries.shape[0] // keys.shape[0], 0).transpose(1, 2)
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    if bias is not None:
        logits = logits + bias
    logits = logits.masked_fill(~visible, -math.inf)
    if sinks is not None:
        logits = torch.cat([logits, sinks[:, None, None].expand(-1, logits.shape[1], 1)], -1)
    return torch.softmax(logits, -1)[..., : keys.shape[1]]


@dataclass
class Reference:
    """By the names of AttentionProfile, for one layer: [H, N] each."""

    n_visible: Tensor
    received: Tensor
    shares: Tensor
    shares_by_age: Tensor
    entropy: Tensor
    mean: Tensor
    std: Tensor
    maximum: Tensor
    recent_distant: Tensor
    recent_distant_without_sinks: Tensor
    sink_mass: Tensor
    window_mass: Tensor


def _ratio(p: list[float]) -> float:
    quarter = max(1, len(p) // 4)
    if len(p) < 2:
        return math.nan
    recent, distant = math.fsum(p[-quarter:]) / quarter, math.fsum(p[:quarter]) / quarter
    return recent / distant if distant else math.inf


def statistics(weights: Tensor, visible: Tensor, n_sink: int, window: int, measured: list[int]) -> Reference:
    """Of weights [H, N, N], where `visible` [H, N, N] says what a query sees; over the queries in `measured`."""
    heads, n = weights.shape[:2]
    nan = [torch.full((heads, n), math.nan, dtype=torch.float64) for _ in range(12)]
    result = Reference(*nan)
    result.n_visible = torch.zeros(heads, n, dtype=torch.int64)
    for h in range(heads):
        for i in measured:
            seen = [j for j in range(n) if visible[h, i, j]]
            p = [float(weights[h, i, j]) for j in seen]
            total, mean = math.fsum(p), math.fsum(p) / len(p)
            result.n_visible[h, i] = len(seen)
            result.entropy[h, i] = -math.fsum(x / total * math.log(x / total) for x in p if x > 0)
            result.mean[h, i] = mean
            result.std[h, i] = math.sqrt(math.fsum((x - mean) ** 2 for x in p) / len(p))
            result.maximum[h, i] = max(p)
            result.recent_distant[h, i] = _ratio(p)
            result.recent_distant_without_sinks[h, i] = _ratio([x for x, j in zip(p, seen, strict=True) if j >= n_sink])
            result.sink_mass[h, i] = math.fsum(x for x, j in zip(p, seen, strict=True) if j < n_sink)
            result.window_mass[h, i] = math.fsum(x for x, j in zip(p, seen, strict=True) if i - window < j <= i)
        for j in range(n):
            result.shares[h, j] = math.fsum(float(weights[h, i, j]) for i in measured) / len(measured)
            at_age = [float(weights[h, i, i - j]) for i in measured if i - j >= n_sink]
            result.shares_by_age[h, j] = math.fsum(at_age) / len(measured)
            seeing = [i for i in measured if visible[h, i, j]]
            if seeing:
                result.received[h, j] = math.fsum(float(weights[h, i, j]) for i in seeing) / len(seeing)
    return result
