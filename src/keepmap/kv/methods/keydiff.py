"""Keys that are unlike the others."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import HeldInput, Reviewed

__all__ = ["KeyDiff"]


@dataclass(frozen=True)
class KeyDiff(Reviewed):
    """Keeps keys that point away from the mean direction of what is held: the score is minus their cosine with it.

    The mean direction is that of all keys that the head holds now, sinks and window among them, each of length 1.

    Reference: Park et al. 2025, arXiv:2504.15364, section 4; read in the text and in kvpress's KeyDiffPress.
    Differs from the paper: decided again at each step, where the paper decides after each block of the prompt
        (`chunk_size`).
    """

    name: ClassVar[str] = "keydiff"
    label: ClassVar[str] = "KeyDiff"
    needs: ClassVar[str] = "held"
    density: ClassVar[float | None] = 0.2
    n_sink: ClassVar[int] = 0
    is_usual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """Minus the cosine of each key with the mean direction, in float32 at least."""
        keys = held.keys if held.keys.element_size() >= 4 else held.keys.float()
        directions = torch.nn.functional.normalize(keys, dim=-1)
        # What a head lacks is 0, and adds nothing; the sum has the direction of the mean.
        common = torch.nn.functional.normalize(directions.sum(dim=1, keepdim=True), dim=-1)
        return -(directions * common).sum(dim=-1)
