"""The length of the value."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import LayerInput, Scored, to_digits

__all__ = ["ValueNorm"]


@dataclass(frozen=True)
class ValueNorm(Scored):
    """Keeps values of large norm: the score is ||v||.

    Scores are rounded to 13 binary digits, so that tokens that are equal to the method tie.

    Reference: the half of Guo et al. 2024, arXiv:2406.12335 (VATP) that needs no attention.
    Differs from the paper: the norm alone, as a control beside `key_norm`; the paper multiplies attention by it.
    """

    name: ClassVar[str] = "value_norm"
    label: ClassVar[str] = "ValueNorm"
    needs: ClassVar[str] = "position"
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """||v||, in float32 at least."""
        values = layer.values
        return to_digits((values if values.element_size() >= 4 else values.float()).norm(dim=-1))
