"""The attention that future queries are expected to pay, from the statistics of the queries so far."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from keepmap.kv.method import LayerInput, Rotation, Scored
from keepmap.kv.rotary import mean_future, turned, unrotated

__all__ = ["ExpectedAttention"]

_LARGEST_EXPONENT = 60.0


@dataclass(frozen=True)
class ExpectedAttention(Scored):
    """Expected attention of the next queries times the norm of the value, where 1 is an average position.

    Queries before their rotation are taken as Gaussian with the mean and covariance of the prefix. For a position
    decided after query t, they are rotated to the average over t+1..t+`n_future`; with mean m and covariance C there,
    E[exp(scaling * q.k)] = exp(scaling * m.k + scaling^2 / 2 * k'Ck). This is divided by its mean over the prefix,
    averaged over the group's query heads, and multiplied by ||v|| over the mean ||v|| of the prefix, so that a
    threshold means the same at every length.

    The statistics (and both means) are of the positions from the sinks' end to the last refresh before t: at 0, 1, 2,
    4, 8, ... and then at every multiple of `refresh`.

    Attributes:
        n_future: future positions over which the rotation is averaged.
        refresh: steps between two refreshes of the statistics.

    Reference: Devoto, Jeblick and Jegou 2025, arXiv:2510.00636, equations 5 to 9.
    Differs from the paper: causal (statistics of the prefix only, refreshed as decoding goes on), and normalised.
    """

    n_future: int = 512
    refresh: int = 128

    name: ClassVar[str] = "expected_attention"
    label: ClassVar[str] = "ExpectedAttention"
    needs: ClassVar[str] = "prefix"
    threshold: ClassVar[float | None] = 2.0
    needs_rotation: ClassVar[bool] = True

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """Expected attention times value norm over the prefix's averages."""
        # Decisions need more than bfloat16; float64 is kept where the model has it.
        wide = torch.promote_types(layer.keys.dtype, torch.float32)
        keys, queries = layer.keys.to(wide), layer.queries.to(wide)
        heads, n, _ = keys.shape
        group = queries.shape[0] // heads
        if layer.rotation is not None:
            queries = unrotated(queries, layer.rotation)
        queries = queries.view(heads, group, n, -1)
        norms = layer.values.to(wide).norm(dim=-1)
        scores = torch.zeros(heads, n, dtype=wide, device=keys.device)

        decided_after = layer.decided_at - 1
        rotation, turned_back = layer.rotation, keys
        if rotation is not None:
            future = mean_future(rotation, torch.arange(n, device=keys.device), self.n_future)
            # Each decided key has a step of its own: turn it back, which is the same as turning the queries ahead.
            turned_back = turned(keys, future[decided_after].conj(), rotation)
        refreshed = self._refreshed(decided_after)
        statistics = _Prefix(queries)
        for at in refreshed.unique().tolist():
            members = (refreshed == at).nonzero().squeeze(1)
            start = layer.n_sink if at >= layer.n_sink else 0
            prefix = slice(start, at + 1)
            mean, covariance = statistics.upto(at, start)
            here = mean, covariance
            if rotation is not None:
                here = _turned_ahead(mean, covariance, rotation, future[at : at + 1])
            level = _log_expected(keys[:, prefix], *here, layer.scaling).logsumexp(dim=-1, keepdim=True)
            level = level - math.log(at + 1 - start)
            expected = _log_expected(turned_back[:, members], mean, covariance, layer.scaling) - level
            share = expected.clamp(max=_LARGEST_EXPONENT).exp().mean(dim=1)
            typical = norms[:, prefix].mean(dim=1, keepdim=True).clamp(min=torch.finfo(wide).tiny)
            scores[:, members] = share * norms[:, members] / typical
        return scores

    def _refreshed(self, after: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
        """The step of the last refresh, for decisions after each of these steps."""
        early = torch.where(after > 0, 2 ** torch.log2(after.clamp(min=1).double()).floor().long(), 0)
        return torch.where(after < self.refresh, early, after // self.refresh * self.refresh)


def _turned_ahead(
    mean: Float[Tensor, "G R D"], covariance: Float[Tensor, "G R D D"], rotation: Rotation, turn: Complex[Tensor, "1 F"]
) -> tuple[Float[Tensor, "G R D"], Float[Tensor, "G R D D"]]:
    """The statistics of queries that are turned by `turn`."""
    half = turned(covariance, turn, rotation)
    return turned(mean, turn, rotation), turned(half.transpose(-1, -2), turn, rotation)


class _Prefix:
    """Mean and covariance of growing prefixes, by adding up only what is new."""

    def __init__(self, queries: Float[Tensor, "G R N D"]) -> None:
        heads, group, _, dim = queries.shape
        self.queries = queries
        self.start = self.end = 0
        self.sum = queries.new_zeros(heads, group, dim)
        self.products = queries.new_zeros(heads, group, dim, dim)

    def upto(self, last: int, start: int) -> tuple[Float[Tensor, "G R D"], Float[Tensor, "G R D D"]]:
        """Mean and covariance over the queries start..last."""
        if start != self.start:
            self.start = self.end = start
            self.sum, self.products = torch.zeros_like(self.sum), torch.zeros_like(self.products)
        new = self.queries[:, :, self.end : last + 1]
        self.sum = self.sum + new.sum(dim=2)
        self.products = self.products + new.transpose(2, 3) @ new
        self.end = last + 1
        count = self.end - self.start
        mean = self.sum / count
        return mean, self.products / count - mean[..., :, None] * mean[..., None, :]


def _log_expected(
    keys: Float[Tensor, "G K D"], mean: Float[Tensor, "G R D"], covariance: Float[Tensor, "G R D D"], scaling: float
) -> Float[Tensor, "G R K"]:
    """log E[exp(scaling * q.k)] for Gaussian queries."""
    quadratic = ((keys[:, None] @ covariance) * keys[:, None]).sum(dim=-1)
    return scaling * (mean @ keys.transpose(1, 2)) + 0.5 * scaling**2 * quadratic
