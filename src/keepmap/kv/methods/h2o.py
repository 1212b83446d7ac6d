"""Heavy hitters: the attention that a position has received, summed up."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from keepmap.kv.method import Received

__all__ = ["H2O"]


@dataclass(frozen=True)
class H2O(Received):
    """At step t, the sum over the queries j..t of the attention that j received (mean over the group's query heads).

    Scores keep growing, also of entries that are held, and the budget rule compares them as they stand at that step.

    Reference: Zhang et al. 2023, arXiv:2306.14048, algorithm 1.
    Differs from the paper: the local window is a number of positions (512) rather than half the budget, and the
        budget is a share of the positions that left it; grouped query heads share one decision (their mean).
    """

    name: ClassVar[str] = "h2o"
    label: ClassVar[str] = "H2O"
    n_sink: ClassVar[int] = 0
    window: ClassVar[int] = 512
    density: ClassVar[float | None] = 0.15
    window_option: ClassVar[str | None] = "h2o_local_window_size"
    averages: ClassVar[bool | None] = False

    def score(self, total: Float[Tensor, "G K"], queries: Int[Tensor, "#G K"]) -> Float[Tensor, "G K"]:
        """The attention that each position has received so far, summed over the queries."""
        return total
