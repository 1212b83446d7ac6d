"""The length of the key."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from keepmap.methods.base import LayerInput, Scored

__all__ = ["KeyNorm"]


@dataclass(frozen=True)
class KeyNorm(Scored):
    """Keeps keys of small norm: the score is -||k||.

    The scale of key norms differs between models and layers; `--density` makes the choice comparable, a threshold
    has to be found for each model (the default suits `tiny`).

    Reference: Devoto et al. 2024, arXiv:2406.11430, section 3.
    Differs from the paper: decided as positions leave the window, not once after the prompt; no layer is skipped.
    """

    name: ClassVar[str] = "key_norm"
    label: ClassVar[str] = "KeyNorm"
    needs: ClassVar[str] = "position"
    threshold: ClassVar[float | None] = -12.5

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """-||k||, in float32 at least: rounding to bfloat16 would make most scores of a head tie."""
        keys = layer.keys
        return -(keys if keys.element_size() >= 4 else keys.float()).norm(dim=-1)
