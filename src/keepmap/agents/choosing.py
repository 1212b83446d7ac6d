"""The pure rules that choose positions in ragged rows; each row by itself, and blind to its padding.

B rows of n positions, of which the valid ones count. The *age* of a valid position is the number of valid ones after
it: 0 is the most recent. Every rule returns what it keeps, [B, n]; at most `budget` in a row, all if there are no more.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, Real, Shaped
from torch import Tensor

from keepmap.core.hashing import seeded, stir

__all__ = [
    "ages",
    "at_ages",
    "draws",
    "episodes",
    "even",
    "gumbel",
    "lengths",
    "recent",
    "repeats",
    "shares",
    "top",
]


def lengths(valid: Bool[Tensor, "B n"]) -> Int[Tensor, " B"]:
    """How many valid positions each row has."""
    return valid.sum(dim=1)


def ages(valid: Bool[Tensor, "B n"]) -> Int[Tensor, "B n"]:
    """The age of each valid position; what stands at the others means nothing."""
    return lengths(valid)[:, None] - valid.cumsum(dim=1)


def recent(valid: Bool[Tensor, "B n"], budget: int | Int[Tensor, "B 1"]) -> Bool[Tensor, "B n"]:
    """The `budget` most recent of the valid positions; it may differ between rows."""
    return valid & (ages(valid) < budget)


def even(valid: Bool[Tensor, "B n"], budget: int) -> Bool[Tensor, "B n"]:
    """Evenly spaced valid positions, the oldest and the most recent among them; a budget of 1 keeps the most recent."""
    last = (lengths(valid) - 1).clamp(min=0)[:, None]
    step = torch.arange(budget, device=valid.device)
    # Rounded up: down, when counted from the oldest. Whole numbers, where a float's rounding could hit a neighbour.
    return at_ages(valid, -(-step * last // max(budget - 1, 1)))


def at_ages(valid: Bool[Tensor, "B n"], kept_ages: Int[Tensor, "B budget"]) -> Bool[Tensor, "B n"]:
    """Those of the wanted ages; all where a row has no more than that."""
    rows, n = valid.shape
    budget = kept_ages.shape[1]
    kept = torch.zeros((rows, max(n, 1)), dtype=torch.bool, device=valid.device)
    # Ages that a short row lacks do no harm: all of that row is kept.
    kept.scatter_(1, kept_ages.clamp(0, max(n - 1, 0)), True)
    kept = kept.gather(1, ages(valid).clamp(min=0, max=max(n - 1, 0)))
    return valid & (kept | (lengths(valid) <= budget)[:, None])


def top(
    valid: Bool[Tensor, "B n"], scores: Real[Tensor, "B n"], budget: int | Int[Tensor, " B"]
) -> Bool[Tensor, "B n"]:
    """Those of the highest scores, the more recent one on a tie; the budget may differ between rows."""
    newest_first = scores.flip(1).argsort(dim=1, descending=True, stable=True)
    # A second stable sort puts padding last whatever its score.
    padded = ~valid.flip(1).gather(1, newest_first)
    order = newest_first.gather(1, padded.to(torch.uint8).argsort(dim=1, stable=True))
    places = torch.arange(valid.shape[1], device=valid.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places).flip(1)
    return valid & (rank < (budget if isinstance(budget, int) else budget[:, None]))


def repeats(valid: Bool[Tensor, "B n"], parts: Sequence[Shaped[Tensor, "B n"]]) -> Bool[Tensor, "B n"]:
    """Whether a more recent valid position is equal in every part, by hashes of 64 bits: two that differ share one once
    in 2**64 pairs."""
    keys = torch.zeros_like(valid, dtype=torch.int64)
    for part in parts:
        # The sum turns -0.0 into 0.0.
        bits = (part.double() + 0.0).view(torch.int64) if part.is_floating_point() else part.long()
        keys = stir(keys + bits)
    keys = keys.flip(1)
    valid_first = (~valid.flip(1)).to(torch.uint8).argsort(dim=1, stable=True)
    order = valid_first.gather(1, keys.gather(1, valid_first).argsort(dim=1, stable=True))
    ordered = keys.gather(1, order)
    same = torch.zeros_like(valid)
    same[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.zeros_like(valid).scatter_(1, order, same).flip(1)


def episodes(valid: Bool[Tensor, "B n"], ends: Bool[Tensor, "B n"]) -> Int[Tensor, "B n"]:
    """The number of the episode that each valid position is in, from 0; what stands at the others means nothing."""
    over = (valid & ends).long()
    return over.cumsum(dim=1) - over


def shares(valid: Bool[Tensor, "B n"], attention: Float[Tensor, "B n"]) -> Float[Tensor, "B n"]:
    """Attention renormalised over each row's valid positions; 0 at the others, and in a row that has none at all."""
    there = attention.double().masked_fill(~valid, 0)
    total = there.sum(dim=1, keepdim=True)
    return there / total.masked_fill(total == 0, 1)


def draws(seed: int, times: Int[Tensor, "B n"]) -> Int[Tensor, "B n"]:
    """64 random bits per transition, from the seed and its time alone: they stay as the history grows."""
    return stir(seeded(seed, times.device) + times)


def gumbel(seed: int, times: Int[Tensor, "B n"]) -> Float[Tensor, "B n"]:
    """Draws that turn log-weights into a sample: the highest sums are a draw without replacement, by the weights."""
    uniform = (((draws(seed, times) >> 11) & ((1 << 53) - 1)).double() + 0.5) / (1 << 53)
    return -(-uniform.log()).log()
