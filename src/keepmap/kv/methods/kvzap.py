"""A small trained network that guesses how much later queries will look at a position."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from keepmap.kv.method import LayerInput, Scored, SurrogateScorer

__all__ = ["KVzap", "KVzapNoSink"]


@dataclass(frozen=True)
class KVzap(Scored):
    """The surrogate's log score of each position, from the layer's input alone.

    Attributes:
        surrogate: (layer, hidden states [N, hidden]) -> log scores [N, G].

    Reference: Jegou and Jeblick 2026, arXiv:2601.07891, section 3; the decision is that of DMS inference,
        arXiv:2506.05345.
    Differs from the paper: the first positions are protected as sinks (`kvzap_no_sink` does not); attention is
        evicting during the whole pass, where the paper compresses after a dense prefill.
    """

    surrogate: SurrogateScorer

    name: ClassVar[str] = "kvzap"
    label: ClassVar[str] = "KVzap"
    needs: ClassVar[str] = "position"
    threshold: ClassVar[float | None] = -5.0
    needs_surrogate: ClassVar[bool] = True

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """The surrogate's log scores."""
        return self.surrogate(layer.layer, layer.hidden_states).transpose(0, 1)


@dataclass(frozen=True)
class KVzapNoSink(KVzap):
    """KVzap without protected sinks: the surrogate has to find them itself, as in the paper."""

    name: ClassVar[str] = "kvzap_no_sink"
    label: ClassVar[str] = "KVzap(no_sink)"
    n_sink: ClassVar[int] = 0
