"""The two rules as obvious loops, in the contract's words."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

import torch
from torch import Tensor

__all__ = ["Rule", "choose_slowly", "dropped"]


@dataclass(frozen=True)
class Rule:
    """A threshold, a density or a budget (one of the three), what is protected, and who shares what may be held."""

    threshold: float | None = None
    density: float | None = None
    budget: int | None = None
    n_sink: int = 4
    window: int = 128
    by: str | list[list[float]] = "head"

    def capacity(self, m: int) -> int:
        """How many of m compressible positions that left the window may be held."""
        if self.budget is not None:
            return self.budget
        return int((Decimal(str(self.density)) * m).to_integral_value(ROUND_CEILING))


def dropped(scores: Tensor, alive: Tensor, rule: Rule, start: int, end: int) -> list[int]:
    """What one head drops after a chunk of the queries start..end-1, of its scores [N] and living entries [N]."""
    compressible = range(rule.n_sink, end)
    if rule.threshold is not None:
        leaving = [j for j in compressible if start <= j + rule.window < end]
        return [j for j in leaving if float(scores[j]) < rule.threshold]
    left = [j for j in compressible if j + rule.window < end]
    candidates = [j for j in left if bool(alive[j])]
    lowest_first = sorted(candidates, key=lambda j: (float(scores[j]), j))
    return lowest_first[: max(0, len(candidates) - rule.capacity(len(left)))]


def choose_slowly(scores: Tensor, rule: Rule, chunk_size: int) -> tuple[Tensor, Tensor]:
    """expires and held [G, N] of scores [G, N] that are fixed before the pass."""
    heads, n = scores.shape
    expires = torch.full((heads, n), n)
    held = torch.ones((heads, n), dtype=torch.bool)
    for head in range(heads):
        for start in range(0, n, chunk_size):
            end = min(start + chunk_size, n)
            for j in dropped(scores[head], held[head], rule, start, end):
                held[head, j] = False
                expires[head, j] = end
    return expires, held
