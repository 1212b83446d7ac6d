"""The attention that future queries are expected to pay to what is held, from the statistics of the queries so far."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.kv.method import HeldInput, Reviewed, to_digits
from keepmap.kv.scoring.gaussian import log_expected
from keepmap.kv.scoring.rotary import mean_future, turned

__all__ = ["ExpectedAttentionAnew"]

_LARGEST_EXPONENT = 60.0


@dataclass(frozen=True)
class ExpectedAttentionAnew(Reviewed):
    """Expected attention times the norm of the value, of all that is held, made anew at each decision.

    As `expected_attention`, whose scores are frozen when their positions leave the window; here the queries are turned
    to the average over the `n_future` positions after this decision, and both averages are over what is held now, but
    for the sinks. So it needs no key that is gone, and a cache can generate under it. At each step that costs many
    times the model's own pass: with `interval` 128 it is cheap.

    Attributes:
        n_future: future positions over which the rotation is averaged.
        refresh: steps between two refreshes of the queries' statistics, as in `expected_attention`.

    Reference: Devoto, Jeblick and Jegou 2025, arXiv:2510.00636, equations 5 to 9; as kvpress's
        DecodingPress, which scores anew at each compression.
    Differs from the paper: normalised by the averages over what is held, so that a threshold has a meaning; the norm is
        ||v||, as in kvpress, where the paper derives ||W_o v||. kvpress takes the queries of its buffer alone while it
        decodes, here all queries count; and a softmax over what is held where here is the mean of its exponentials.
    """

    n_future: int = 512
    refresh: int = 128

    name: ClassVar[str] = "expected_attention_anew"
    label: ClassVar[str] = "ExpectedAttention (anew)"
    needs: ClassVar[str] = "held"
    threshold: ClassVar[float | None] = 2.0
    needs_rotation: ClassVar[bool] = True
    needs_moments: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        as_integer("n_future", self.n_future, 1)
        as_integer("refresh", self.refresh, 1)

    def refreshed(self, step: int) -> int:
        """0, 1, 2, 4, 8, ... and then the multiples of `refresh`."""
        if step >= self.refresh:
            return step // self.refresh * self.refresh
        return 2 ** (step.bit_length() - 1) if step else 0

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """Expected attention times value norm over the averages of what is held."""
        assert held.moments is not None  # declared above
        keys, heads = held.keys.double(), held.positions.shape[0]
        if held.rotation is not None:
            after = torch.tensor([held.step], device=keys.device)
            keys = turned(keys, mean_future(held.rotation, after, self.n_future).conj(), held.rotation)
        mean, covariance = (
            part.view(heads, -1, *part.shape[1:]) for part in (held.moments.mean, held.moments.covariance)
        )
        expected = log_expected(keys, mean, covariance, held.scaling)
        counts = held.is_held & (held.positions >= held.n_sink)
        counts = torch.where(counts.any(dim=1, keepdim=True), counts, held.is_held)
        number = counts.sum(dim=1, keepdim=True).double()
        level = (
            expected.masked_fill(~counts[:, None], float("-inf")).logsumexp(dim=2, keepdim=True)
            - number[..., None].log()
        )
        share = (expected - level).clamp(max=_LARGEST_EXPONENT).exp().mean(dim=1)
        norms = held.values.double().norm(dim=-1)
        typical = (norms * counts).sum(dim=1, keepdim=True) / number
        return to_digits(share * norms / typical.clamp(min=torch.finfo(torch.float32).tiny))
