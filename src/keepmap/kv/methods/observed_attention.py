"""The attention that a position has received, on average."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from keepmap.kv.method import Received

__all__ = ["ObservedAttention"]


@dataclass(frozen=True)
class ObservedAttention(Received):
    """At step t, the mean over the queries j..t and the group's query heads of the attention that j received.

    The attention is that of the evicting model. A mean falls as the text grows (it is spread over more positions), so
    that the budget rule is the default.

    Reference: the score of kvpress's ObservedAttentionPress, which is H2O's (arXiv:2306.14048) divided by the number
        of queries that could see the position.
    Differs from kvpress: exact at every step, without eager attention, on the evicting model's own attention.
    """

    name: ClassVar[str] = "observed_attention"
    label: ClassVar[str] = "ObservedAttention"
    n_sink: ClassVar[int] = 0
    density: ClassVar[float | None] = 0.15
    averages: ClassVar[bool | None] = True

    def score(self, total: Float[Tensor, "G K"], queries: Int[Tensor, "#G K"]) -> Float[Tensor, "G K"]:
        """The attention that each position has received so far, per query that could see it."""
        return total / queries
