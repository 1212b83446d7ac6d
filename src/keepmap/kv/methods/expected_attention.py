"""The attention that future queries are expected to pay, from the statistics of the queries so far."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.kv.method import LayerInput, Rotation, Scored, to_digits
from keepmap.kv.scoring.gaussian import log_expected, log_mean_expected
from keepmap.kv.scoring.rotary import mean_future, turned, unrotated

__all__ = ["ExpectedAttention"]

_LARGEST_EXPONENT = 60.0
_HELD_BYTES = 1 << 25
_UNTURNED_AT_ONCE = 1024
"""Statistics of prefixes that are held at once."""


@dataclass(frozen=True)
class ExpectedAttention(Scored):
    """Expected attention of the next queries times the norm of the value, where 1 is an average position.

    Queries before their rotation are taken as Gaussian with the mean and covariance of the prefix. For a position
    decided after query t, they are rotated to the average over t+1..t+`n_future`; with mean m and covariance C there,
    E[exp(scaling * q.k)] = exp(scaling * m.k + scaling^2 / 2 * k'Ck). This is divided by its mean over the prefix,
    averaged over the group's query heads, and multiplied by ||v|| over the mean ||v|| of the prefix, so that a
    threshold means the same at every length.

    The statistics (and both means) are of the positions from the sinks' end to the last refresh before t: at 0, 1, 2,
    4, 8, ... and then at every multiple of `refresh`. Scores are rounded to 13 binary digits, so that tokens that are
    equal to the method tie.

    A score is frozen when its position leaves the window: later queries do not change it. Where a text of 1,025 tokens
    is compressed once and the next 127 are predicted (SmolLM2, 6 texts), that costs 0.06, 0.11 and 0.15 nats per token
    more than kvpress's scores, all made at the end of the text, at 0.5, 0.25 and 0.1 kept. In mode "once" all scores
    are made after the last query of the context, by the last refresh before it.

    Attributes:
        n_future: future positions over which the rotation is averaged.
        refresh: steps between two refreshes of the statistics.

    Reference: Devoto, Jeblick and Jegou 2025, arXiv:2510.00636, equations 5 to 9.
    Differs from the paper: causal (statistics of the prefix only, refreshed as decoding goes on), and normalised; the
        norm is ||v||, as in kvpress, where the paper derives ||W_o v||. kvpress's `epsilon`, added to the expected
        attention before the norm, is 0 here, its default there.
    """

    n_future: int = 512
    refresh: int = 128

    name: ClassVar[str] = "expected_attention"
    label: ClassVar[str] = "ExpectedAttention"
    needs: ClassVar[str] = "prefix"
    threshold: ClassVar[float | None] = 2.0
    needs_rotation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_integer("n_future", self.n_future, 1)
        as_integer("refresh", self.refresh, 1)

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """Expected attention times value norm over the prefix's averages."""
        # Decisions need more than bfloat16; float64 is kept where the model has it.
        wide = torch.promote_types(layer.keys.dtype, torch.float32)
        keys, queries = layer.keys.to(wide), layer.queries.to(wide)
        heads, n, _ = keys.shape
        group = queries.shape[0] // heads
        norms = layer.values.to(wide).norm(dim=-1).double()
        scores = torch.zeros(heads, n, dtype=torch.float64, device=keys.device)

        decided_after = layer.decided_at - 1
        # A key's own part is in float64: what one refresh decides differs by no more than the keys do.
        rotation, turned_back = layer.rotation, keys.double()
        future: Complex[Tensor, "N F"] | None = None
        if rotation is not None:
            future = mean_future(rotation, torch.arange(n, device=keys.device), self.n_future)
            # Each decided key has a step of its own: turn it back, which is the same as turning the queries ahead.
            turned_back = turned(turned_back, future[decided_after].conj(), rotation)
        refreshed = self._refreshed(decided_after)
        statistics = _Prefix(queries.view(heads, group, n, -1), rotation)
        for last in refreshed.unique().split(max(1, _HELD_BYTES // statistics.nbytes)):
            start = torch.where(last >= layer.n_sink, layer.n_sink, 0)
            prefixes = list(zip(last.tolist(), start.tolist(), strict=True))
            mean, covariance = _moments(*zip(*(statistics.upto(*prefix) for prefix in prefixes), strict=True))
            here = mean, covariance
            if rotation is not None and future is not None:
                here = _turned_ahead(mean, covariance, rotation, future[last])
            levels = log_mean_expected(keys, *here, start, last, layer.scaling)
            for index, (at, begin) in enumerate(prefixes):
                members = (refreshed == at).nonzero().squeeze(1)
                gaussian = mean[index].double(), covariance[index].double()
                expected = log_expected(turned_back[:, members], *gaussian, layer.scaling)
                share = (expected - levels[index, ..., None]).clamp(max=_LARGEST_EXPONENT).exp().mean(dim=1)
                typical = norms[:, begin : at + 1].mean(dim=1, keepdim=True).clamp(min=torch.finfo(wide).tiny)
                scores[:, members] = share * norms[:, members] / typical
        return to_digits(scores).to(wide)

    def _refreshed(self, after: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
        """The step of the last refresh, for decisions after each of these steps."""
        early = torch.where(after > 0, 2 ** torch.log2(after.clamp(min=1).double()).floor().long(), 0)
        return torch.where(after < self.refresh, early, after // self.refresh * self.refresh)


def _turned_ahead(
    mean: Float[Tensor, "T G R D"],
    covariance: Float[Tensor, "T G R D D"],
    rotation: Rotation,
    turn: Complex[Tensor, "T F"],
) -> tuple[Float[Tensor, "T G R D"], Float[Tensor, "T G R D D"]]:
    """The statistics of queries that are turned by `turn`."""
    half = turned(covariance.movedim(0, -2), turn, rotation)
    both = turned(half.transpose(-1, -3), turn, rotation).transpose(-1, -3)
    return turned(mean.movedim(0, -2), turn, rotation).movedim(-2, 0), both.movedim(-2, 0)


def _moments(
    counts: tuple[int, ...], sums: tuple[Float[Tensor, "G R D"], ...], products: tuple[Float[Tensor, "G R D D"], ...]
) -> tuple[Float[Tensor, "T G R D"], Float[Tensor, "T G R D D"]]:
    """Means and covariances of prefixes."""
    n = sums[0].new_tensor(counts)
    mean = torch.stack(sums) / n[:, None, None, None]
    # In place: each of these is as large as all statistics together.
    covariance = torch.stack(products).div_(n[:, None, None, None, None])
    return mean, covariance.addcmul_(mean[..., :, None], mean[..., None, :], value=-1)


class _Prefix:
    """Sums of growing prefixes of queries before their rotation, by adding up only what is new."""

    def __init__(self, queries: Float[Tensor, "G R N D"], rotation: Rotation | None) -> None:
        heads, group, _, dim = queries.shape
        self.queries, self.rotation = queries, rotation
        self.start = self.end = self.plain_from = 0
        self.plain = queries[:, :, :0]
        self.sum = queries.new_zeros(heads, group, dim)
        self.products = queries.new_zeros(heads, group, dim, dim)

    @property
    def nbytes(self) -> int:
        """The size of what one prefix's statistics take."""
        return self.products.nbytes + self.sum.nbytes

    def upto(self, last: int, start: int) -> tuple[int, Float[Tensor, "G R D"], Float[Tensor, "G R D D"]]:
        """How many queries start..last are; the sums of them and of their outer products."""
        if start != self.start:
            self.start = self.end = start
            self.sum, self.products = torch.zeros_like(self.sum), torch.zeros_like(self.products)
        if last >= self.plain_from + self.plain.shape[2] or self.end < self.plain_from:
            # A stretch at a time: all at once, they would be as large as the queries three times over.
            self.plain_from = self.end
            self.plain = self.queries[:, :, self.end : max(last + 1, self.end + _UNTURNED_AT_ONCE)]
            if self.rotation is not None:
                self.plain = unrotated(self.plain, self.rotation, self.end)
        new = self.plain[:, :, self.end - self.plain_from : last + 1 - self.plain_from]
        self.sum = self.sum + new.sum(dim=2)
        self.products = self.products + new.transpose(2, 3) @ new
        self.end = last + 1
        return self.end - self.start, self.sum, self.products
