"""An oracle: what a second reading of the whole text looks at."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import LayerInput, Scored

__all__ = ["KVzip"]


@dataclass(frozen=True)
class KVzip(Scored):
    """ORACLE, which looks ahead: the most that any token gives to a position where the whole text is read twice.

    The model reads the text, then the instruction to repeat it (where it has a tokenizer) and the text again, without
    eviction. The score is the largest attention that a token of this second reading gives to the position in the first,
    over the tokens and the group's query heads. In mode "once" that text is the context, as in the paper; in the other
    modes it is all of it, so that scores look ahead, and no cache can have them. It costs one dense pass over twice the
    text, which has to fit into the model's positions.

    Reference: Kim et al. 2025, arXiv:2505.23416, section 3; read in kvpress's KVzipPress.
    Differs from the paper: one second reading of all, not one for each 2,048 tokens with a softmax of its own, and
        without a chat template. `budget_by="model"` in mode "once" is the paper's budget; so it keeps what kvpress
        keeps, tried on 512 tokens without a template.
    """

    name: ClassVar[str] = "kvzip"
    label: ClassVar[str] = "KVzip (looks ahead)"
    needs: ClassVar[str] = "future"
    window: ClassVar[int] = 0
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False
    needs_repetition: ClassVar[bool] = True

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """What the second reading gives."""
        assert layer.repeated is not None  # declared above
        return layer.repeated
