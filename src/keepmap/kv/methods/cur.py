"""Keys and values that are long beside their neighbours."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.kv.method import HeldInput, Reviewed, to_digits

__all__ = ["CUR"]


@dataclass(frozen=True)
class CUR(Reviewed):
    """Keeps long keys and values: the score is ||k||^2 * ||v||^2, each over its sum among `block` neighbours.

    What a head holds is cut into blocks of `block` entries, from the first one on. Scores are rounded to 13 binary
    digits: where keys are equal but for their rotation, the earlier one goes.

    Attributes:
        block: entries that are neighbours.

    Reference: Sengupta et al. 2025, arXiv:2509.15038 (CurDKV); read in kvpress's CURPress.
    Differs from the paper: the local approximation of the leverage scores, as in kvpress, without random projections;
        blocks are of what is held at the step, so that all are weighed again at each decision.
    """

    block: int = 16

    name: ClassVar[str] = "cur"
    label: ClassVar[str] = "CUR"
    needs: ClassVar[str] = "held"
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        as_integer("block", self.block, 1)

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The product of both shares."""
        return to_digits(self._shares(held.keys) * self._shares(held.values))

    def _shares(self, states: Float[Tensor, "G K D"]) -> Float[Tensor, "G K"]:
        """The share of each squared norm in that of its block."""
        wide = states.to(torch.promote_types(states.dtype, torch.float32))
        squares = wide.square().sum(dim=-1)
        blocks = torch.nn.functional.pad(squares, (0, -squares.shape[1] % self.block)).unflatten(1, (-1, self.block))
        least = torch.finfo(wide.dtype).tiny
        return (blocks / blocks.sum(dim=-1, keepdim=True).clamp(min=least)).flatten(1)[:, : squares.shape[1]]
