"""An oracle: the attention that will be paid."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import HeldInput, Reviewed

__all__ = ["Oracle"]


@dataclass(frozen=True)
class Oracle(Reviewed):
    """ORACLE, which looks ahead: the attention that all later queries of the text will pay to each entry, summed.

    At each step the queries after it count, to the end of the text, and the mean over the group's query heads. They are
    the layer's own queries, and pay as if nothing had gone from this layer. What is left at the end of the text scores
    0. No cache can have it, as it generates what comes: `keepmap.evict` and `keepmap.compare` take it alone. It is a
    measure of what choosing by attention could give at best, and no bound: it does not know what values do.

    Reference: none; the "future attention" that papers compare with.
    """

    name: ClassVar[str] = "oracle"
    label: ClassVar[str] = "Oracle (looks ahead)"
    needs: ClassVar[str] = "future"
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """What will be paid."""
        assert held.ahead is not None  # declared above
        return held.ahead
