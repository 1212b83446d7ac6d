"""The attention that the last queries pay, smoothed over neighbours."""

from dataclasses import dataclass
from typing import ClassVar

from keepmap.kv.scoring.observed import Observed

__all__ = ["SnapKV"]


@dataclass(frozen=True)
class SnapKV(Observed):
    """The attention of the last queries to each position, the mean over them and the group, then over neighbours.

    Neighbours are the entries that stand beside it among those that are held now and lie before the observing queries.
    Positions of these queries score 1, more than any attention.

    Attributes:
        queries: how many of the last queries observe.
        kernel: over how many neighbours the mean is taken, itself among them; an odd number. 1 takes none.

    Reference: Li et al. 2024, arXiv:2404.14469, section 4; read in the text and in kvpress's SnapKVPress.
    Differs from the paper: decided again at each step, not once after the prompt (`mode="once"` is that); grouped query
        heads share one decision (their mean), as in kvpress; neighbours beyond either end count as 0, as there.
    """

    name: ClassVar[str] = "snapkv"
    label: ClassVar[str] = "SnapKV"
