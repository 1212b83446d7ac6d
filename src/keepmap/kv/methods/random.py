"""A draw per entry: the control that every method has to beat."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.hashing import seeded, stir, uniform
from keepmap.kv.method import LayerInput, Scored

__all__ = ["Random", "RandomValidation"]


@dataclass(frozen=True)
class Random(Scored):
    """Scores drawn uniformly from [0, 1), each from (seed, layer, KV head, position) alone.

    A score therefore does not depend on chunking, batching, device or order. A threshold of t keeps a share of 1 - t.

    Reference: the draw is SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 16), its top 24 bits over 2**24.
    """

    name: ClassVar[str] = "random"
    label: ClassVar[str] = "Random"
    needs: ClassVar[str] = "position"
    threshold: ClassVar[float | None] = 0.85
    by_position: ClassVar[bool] = True

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """A uniform draw in [0, 1) for each layer, KV head and position, whatever the text."""
        heads, n = layer.keys.shape[:2]
        device = layer.keys.device
        state = stir(seeded(layer.seed, device) + layer.layer)
        state = stir(state + torch.arange(heads, device=device))
        positions = torch.arange(layer.first, layer.first + n, device=device)
        return uniform(stir(state[:, None] + positions))


@dataclass(frozen=True)
class RandomValidation(Random):
    """Random with a threshold of 1.0: no draw reaches it, so it must equal StreamingLLM to the last bit.

    The check of a comparison: if the two differ, the protection of sinks or window is broken.
    """

    name: ClassVar[str] = "random_validation"
    label: ClassVar[str] = "Random(threshold=1.0)"
    threshold: ClassVar[float | None] = 1.0
