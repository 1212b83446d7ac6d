"""The full cache."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import LayerInput, Scored

__all__ = ["Baseline"]


@dataclass(frozen=True)
class Baseline(Scored):
    """Keeps everything: what all other methods are measured against.

    Every score is 0 and the threshold is -inf.
    """

    name: ClassVar[str] = "baseline"
    label: ClassVar[str] = "Baseline"
    needs: ClassVar[str] = "nothing"
    threshold: ClassVar[float | None] = float("-inf")
    by_position: ClassVar[bool] = True

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """No position is better than another: 0 for all of them."""
        return torch.zeros(layer.keys.shape[:2], device=layer.keys.device)
