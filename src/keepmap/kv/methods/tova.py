"""The attention that the last query pays, the same for all heads of a layer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import HeldInput, Reviewed

__all__ = ["TOVA"]


@dataclass(frozen=True)
class TOVA(Reviewed):
    """The attention that the last query pays to each position, the mean over all heads of the layer.

    All KV heads of a layer score alike, and keep the same positions. The query's own position scores 1.

    Reference: Oren et al. 2024, arXiv:2401.06104, section 3.3; read in the text and in kvpress's TOVAPress.
    Differs from the paper: the last position itself cannot go, as in kvpress; the budget is a share of what came.
    """

    name: ClassVar[str] = "tova"
    label: ClassVar[str] = "TOVA"
    needs: ClassVar[str] = "window"
    n_sink: ClassVar[int] = 0
    window: ClassVar[int] = 1
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False
    needs_hidden: ClassVar[bool] = False

    @property
    def observes(self) -> int:
        """The last query alone."""
        return 1

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The last query's attention, over all heads that hold a position."""
        heads, width = held.positions.shape
        paid = held.attention[:, 0].view(heads, -1, width).mean(dim=1).double()
        at = held.positions.clamp(min=0)
        total = paid.new_zeros(held.step + 1).index_add_(0, at.flatten(), paid.flatten())
        return torch.where(held.positions == held.step, 1.0, total[at] / heads)
