"""Sums of the queries so far, before their rotation: what a score needs that looks at how queries are spread.

H query head · Q queries · D head dimension.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import Moments, Rotation
from keepmap.kv.scoring.rotary import unrotated

__all__ = ["QuerySums"]


@dataclass(frozen=True, eq=False)
class QuerySums:
    """Of the queries of the positions `start` to before `end`.

    Attributes:
        total: [H, D]. products: [H, D, D], of their outer products; both float64.
    """

    start: int
    end: int
    total: Float[Tensor, "H D"]
    products: Float[Tensor, "H D D"]

    @staticmethod
    def none(queries: Float[Tensor, "H Q D"]) -> "QuerySums":
        """Of no query yet."""
        heads, _, dim = queries.shape
        wide = queries.new_zeros(heads, dim, dtype=torch.float64)
        return QuerySums(0, 0, wide, wide[..., None] * wide[:, None])

    @property
    def nbytes(self) -> int:
        """What they take."""
        return self.total.nbytes + self.products.nbytes

    def upto(
        self, last: int, n_sink: int, queries: Float[Tensor, "H Q D"], first: int, rotation: Rotation | None
    ) -> "QuerySums":
        """Those of the positions up to `last`; without the sinks, where there are others.

        Args:
            queries: as they attend, from position `first` on, the ones that are new among them.
        """
        start = n_sink if last >= n_sink else 0
        base = self if start == self.start else QuerySums(start, start, self.total * 0, self.products * 0)
        if last < base.end:
            return base
        assert base.end >= first, "a query that has gone is still to be added"
        new = queries[:, base.end - first : last + 1 - first].double()
        plain = new if rotation is None else unrotated(new, rotation, base.end)
        return QuerySums(start, last + 1, base.total + plain.sum(dim=1), base.products + plain.transpose(1, 2) @ plain)

    def moments(self) -> Moments:
        """Mean and covariance."""
        n = max(self.end - self.start, 1)
        mean = self.total / n
        return Moments(mean, self.products / n - mean[..., :, None] * mean[..., None, :])
