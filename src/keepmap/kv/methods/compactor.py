"""Keys that the others cannot stand in for."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import HeldInput, Reviewed, to_digits
from keepmap.kv.scoring.rotary import unrotated_at

__all__ = ["Compactor"]

_RIDGE = 0.01


@dataclass(frozen=True)
class Compactor(Reviewed):
    """Keeps keys of high leverage: x (X'X + 0.01 I)^-1 x', of keys before their rotation less their mean.

    X are the keys that the head holds now. Leverage is 1 for a key in whose direction no other lies, and near 0 for one
    of many alike. Scores are rounded to 13 binary digits, so that keys that are equal tie.

    Reference: Chari and Van Durme 2025, arXiv:2507.08143, section 3.1; read in kvpress's LeverageScorePress.
    Differs from the paper: the leverage alone, without the part of non-causal attention; exact, without the random
        sketch; of what is held at the step, and decided again at each.
    """

    name: ClassVar[str] = "compactor"
    label: ClassVar[str] = "Compactor"
    needs: ClassVar[str] = "held"
    density: ClassVar[float | None] = 0.2
    needs_rotation: ClassVar[bool] = True
    is_usual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The leverage of each key among those that its head holds."""
        keys = held.keys.double()
        if held.rotation is not None:
            at = held.positions.clamp(min=0)
            keys = torch.stack([unrotated_at(own, held.rotation, at[head]) for head, own in enumerate(keys)])
        counts = held.is_held.sum(dim=1)[:, None, None]
        centred = (keys - keys.sum(dim=1, keepdim=True) / counts) * held.is_held[..., None]
        gram = centred.transpose(1, 2) @ centred + _RIDGE * torch.eye(
            keys.shape[2], dtype=keys.dtype, device=keys.device
        )
        solved = torch.linalg.solve(gram, centred.transpose(1, 2)).transpose(1, 2)
        return to_digits((centred * solved).sum(dim=-1).clamp(min=0.0))
