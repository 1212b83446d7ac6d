"""The length of the key."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import LayerInput, Scored, to_digits

__all__ = ["KeyNorm"]


@dataclass(frozen=True)
class KeyNorm(Scored):
    """Keeps keys of small norm: the score is -||k||.

    The scale of key norms differs between models and layers, so that the budget rule is the default; a threshold has
    to be found for each model. Norms are rounded to 13 binary digits: keys that are equal but for their rotation then
    tie, rather than being put into an order by rounding.

    Reference: Devoto et al. 2024, arXiv:2406.11430, section 3.
    Differs from the paper: decided as positions leave the window, not once after the prompt; no layer is skipped.
    """

    name: ClassVar[str] = "key_norm"
    label: ClassVar[str] = "KeyNorm"
    needs: ClassVar[str] = "position"
    density: ClassVar[float | None] = 0.2

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """-||k||, in float32 at least: rounding to bfloat16 would make most scores of a head tie."""
        keys = layer.keys
        norms = (keys if keys.element_size() >= 4 else keys.float()).norm(dim=-1)
        return -to_digits(norms)
