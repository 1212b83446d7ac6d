"""How far keys and values spread beside those that come next."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.kv.method import HeldInput, Reviewed

__all__ = ["LagKV"]


@dataclass(frozen=True)
class LagKV(Reviewed):
    """Keeps, of each `lag` entries, those whose key and value spread most on the scale of the `lag` that come next.

    What a head holds behind the sinks is cut into parts of `lag` entries. On the scale of the next part (its least
    value in each dimension is 0, its largest 1), a key's spread is its standard deviation over the dimensions; spreads
    are made shares by a softmax over the part, and those of keys and values are averaged. The score is the entry's rank
    in its part, over `lag`. The last whole part, which has none to be measured by, and what follows it score 1.

    Attributes:
        lag: entries of a part.

    Reference: Liang et al. 2025, arXiv:2504.04704, section 3; read in the text and in kvpress's LagKVPress.
    Differs from the paper: parts are of what is held at the step, so that all are ranked again at each decision; the
        paper ranks a part once, when the next is whole.
    """

    lag: int = 128

    name: ClassVar[str] = "lagkv"
    label: ClassVar[str] = "LagKV"
    needs: ClassVar[str] = "held"
    density: ClassVar[float | None] = 0.25
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        as_integer("lag", self.lag, 2)

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """Ranks of spreads, part by part."""
        scores = held.keys.new_ones(held.positions.shape, dtype=torch.float64)
        for head, count in enumerate(held.is_held.sum(dim=1).tolist()):
            parts = max(0, count - held.n_sink) // self.lag
            if parts < 2:
                continue
            inside = slice(held.n_sink, held.n_sink + parts * self.lag)
            shares = (self._shares(of[head, inside]) for of in (held.keys, held.values))
            ranks = sum(shares).argsort(dim=1, stable=True).argsort(dim=1)  # type: ignore[union-attr]
            scores[head, held.n_sink : inside.stop - self.lag] = ranks.flatten().double() / self.lag
        return scores

    def _shares(self, states: Float[Tensor, "n D"]) -> Float[Tensor, "parts lag"]:
        """The share of each entry in the spread of its part, of all parts but the last."""
        wide = states.to(torch.promote_types(states.dtype, torch.float32)).unflatten(0, (-1, self.lag))
        least, most = wide[1:].amin(dim=1, keepdim=True), wide[1:].amax(dim=1, keepdim=True)
        scaled = (wide[:-1] - least) / (most - least).clamp(min=torch.finfo(wide.dtype).tiny)
        return scaled.std(dim=-1).softmax(dim=-1)
