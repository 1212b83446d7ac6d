"""The attention that future queries are expected to pay, from the statistics of the queries so far."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.methods.base import LayerInput, Scored
from keepmap.methods.rotary import mean_future, turned, unrotated

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

    The statistics (and both means) are of the positions from the sinks' end to r = `refresh` * floor(t / `refresh`).

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
        block = decided_after // self.refresh
        statistics = _Prefix(queries)
        for index in range(int(block[-1]) + 1 if n else 0):
            members = (block == index).nonzero().squeeze(1)
            if not members.numel():
                continue
            at = index * self.refresh
            start = layer.n_sink if at >= layer.n_sink else 0
            prefix = slice(start, at + 1)
            mean, covariance = statistics.upto(at, start)
            here = self._turned_ahead(mean, covariance, layer, at)
            level = _log_expected(keys[:, prefix], *here, layer.scaling).logsumexp(dim=-1, keepdim=True)
            level = level - math.log(at + 1 - start)
            decided = self._turned_back(keys[:, members], layer, decided_after[members])
            expected = _log_expected(decided, mean, covariance, layer.scaling) - level
            share = expected.clamp(max=_LARGEST_EXPONENT).exp().mean(dim=1)
            typical = norms[:, prefix].mean(dim=1, keepdim=True).clamp(min=torch.finfo(wide).tiny)
            scores[:, members] = share * norms[:, members] / typical
        return scores

    def _turned_ahead(
        self, mean: Float[Tensor, "G R D"], covariance: Float[Tensor, "G R D D"], layer: LayerInput, after: int
    ) -> tuple[Float[Tensor, "G R D"], Float[Tensor, "G R D D"]]:
        """The statistics of the queries that follow step `after`, on average over the future."""
        if layer.rotation is None:
            return mean, covariance
        turn = mean_future(layer.rotation, torch.tensor([after], device=mean.device), self.n_future)
        half = turned(covariance, turn, layer.rotation)
        both = turned(half.transpose(-1, -2), turn, layer.rotation)
        return turned(mean, turn, layer.rotation), both

    def _turned_back(
        self, keys: Float[Tensor, "G K D"], layer: LayerInput, after: Int[Tensor, " K"]
    ) -> Float[Tensor, "G K D"]:
        """The same seen from the keys, each of which has its own step: turn the key back, not the query ahead."""
        if layer.rotation is None:
            return keys
        return turned(keys, mean_future(layer.rotation, after, self.n_future).conj(), layer.rotation)


class _Prefix:
    """Mean and covariance of growing prefixes, by adding up only what is new."""

    def __init__(self, queries: Float[Tensor, "G R N D"]) -> None:
        heads, group, _, dim = queries.shape
        self.queries = queries
        self.start = self.end = 0
        self.sum = queries.new_zeros(heads, group, dim)
        self.products = queries.new_zeros(heads, group, dim, dim)

    def upto(self, last: int, start: int) -> tuple[Float[Tensor, "G R D"], Float[Tensor, "G R D D"]]:
        """Over the queries start..last."""
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
