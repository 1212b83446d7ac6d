"""Sinks and a window, and nothing else."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import LayerInput, Scored

__all__ = ["StreamingLLM"]


@dataclass(frozen=True)
class StreamingLLM(Scored):
    """Drops every position that is neither a sink nor in the window.

    All scores are 0 and the default threshold is 1, so that everything compressible goes. Under the budget rule the
    scores tie, the earliest goes first, and the budget makes the window longer.

    Reference: Xiao et al. 2023, arXiv:2309.17453, section 3.2.
    Differs from the paper: keys keep their original rotary positions; the paper counts positions within the cache.
    """

    name: ClassVar[str] = "streaming_llm"
    label: ClassVar[str] = "StreamingLLM"
    needs: ClassVar[str] = "nothing"
    threshold: ClassVar[float | None] = 1.0
    by_position: ClassVar[bool] = True

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """No position is better than another: 0 for all of them."""
        return torch.zeros(layer.keys.shape[:2], device=layer.keys.device)
