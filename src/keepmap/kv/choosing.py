"""The pure rules that turn scores into decisions: threshold and budget, with sinks and window protected.

G KV heads, N positions, C chunk size. A position j leaves the window after query j + window; what is decided, is
decided at the end of a chunk (C = 1: after every query; the end of the text ends the last chunk).
"""

import heapq
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.core.arguments import as_number, as_size
from keepmap.errors import ImpossibleResultError
from keepmap.kv.budgets import Budget, Shares, shares_in_layer
from keepmap.kv.sharing import dropped_in_turn

__all__ = [
    "Budget",
    "Expiries",
    "LayerRule",
    "Protection",
    "Rule",
    "Threshold",
    "choose",
    "decidable",
    "decided_at",
    "decisions",
    "drops_of_budget",
    "rule_in_layer",
]


@dataclass(frozen=True)
class Protection:
    """The first `n_sink` and the last `window` positions are never dropped."""

    n_sink: int = 4
    window: int = 128

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_sink", as_size("n_sink", self.n_sink))
        object.__setattr__(self, "window", as_size("window", self.window))

    def compressible_left(self, end: int) -> int:
        """How many compressible positions have left the window once the queries 0..end-1 are processed."""
        return max(0, end - self.window - self.n_sink)


@dataclass(frozen=True)
class Threshold:
    """A position is dropped, once and for all as it leaves the window, when its score is below `threshold`."""

    threshold: float

    def __post_init__(self) -> None:
        as_number("threshold", self.threshold)


Rule = Threshold | Budget
LayerRule = Threshold | Budget | Shares
"""What decides in one layer: `Shares` where its heads do not hold alike."""


def rule_in_layer(rule: Rule, layer: int, layers: int, heads: int) -> LayerRule:
    """What a rule says in one layer; what all layers share is theirs to decide.

    Raises:
        InputError: a table for another number of layers or heads.
    """
    if isinstance(rule, Threshold) or rule.by in ("head", "model"):
        return rule
    return shares_in_layer(rule, layer, layers, heads)


@dataclass(frozen=True)
class Expiries:
    """What a rule decided for one layer: expiries and, after the last step, what is held."""

    expires: Int[Tensor, "G N"]
    held: Bool[Tensor, "G N"]


def choose(
    scores: Float[Tensor, "G N"], rule: LayerRule, protection: Protection, chunk_size: int = 1, ends: bool = True
) -> Expiries:
    """Apply a rule to scores that are fixed before the pass.

    Args:
        ends: whether the end of the text ends the last chunk.

    Raises:
        InputError: a chunk size below 1.
        ImpossibleResultError: a NaN score.
    """
    chunk_size = as_size("chunk_size", chunk_size, 1)
    if torch.isnan(scores).any():
        raise ImpossibleResultError("a score is NaN: the method, the model's weights or its inputs are damaged")
    if isinstance(rule, Threshold):
        return _by_threshold(scores, rule, protection, chunk_size, ends)
    if isinstance(rule, Shares):
        return _by_shares(scores, rule, protection, chunk_size, ends)
    return _by_budget(scores, rule, protection, chunk_size, ends)


def decided_at(n: int, protection: Protection, chunk_size: int, device: torch.device) -> Int[Tensor, " N"]:
    """The first query after j's decision (the end of the chunk in which j leaves the window), at most N."""
    left = torch.arange(n, device=device) + min(protection.window, n) + 1
    chunk_size = min(chunk_size, max(n, 1))
    return (-(-left // chunk_size) * chunk_size).clamp(max=n)


def decidable(n: int, protection: Protection, device: torch.device) -> Bool[Tensor, " N"]:
    """Positions that are no sinks and have left the window by the end."""
    position = torch.arange(n, device=device)
    return (position >= min(protection.n_sink, n)) & (position + min(protection.window, n) + 1 <= n)


def _by_threshold(scores: Tensor, rule: Threshold, protection: Protection, chunk_size: int, ends: bool) -> Expiries:
    n = scores.shape[1]
    decided = decidable(n if ends else n // chunk_size * chunk_size, protection, scores.device)
    dropped = (scores < rule.threshold) & torch.nn.functional.pad(decided, (0, n - len(decided)))
    expires = torch.where(dropped, decided_at(n, protection, chunk_size, scores.device), n)
    return Expiries(expires, ~dropped)


def _by_shares(scores: Tensor, rule: Shares, protection: Protection, chunk_size: int, ends: bool) -> Expiries:
    heads, n = scores.shape
    positions = np.arange(n)
    positions = np.broadcast_to(np.where(positions < protection.n_sink, -1, positions), (heads, n))
    gone = dropped_in_turn(scores.cpu().numpy(), positions, rule, decisions(0, n, protection, chunk_size, ends))
    expires = torch.from_numpy(np.where(gone, gone, n)).to(scores.device)
    return Expiries(expires, torch.from_numpy(gone == 0).to(scores.device))


def decisions(first: int, n: int, protection: Protection, chunk_size: int, ends: bool) -> list[tuple[int, int, int]]:
    """After how many queries each decision of the queries first..n-1 falls, before which position all have then left
    the window, and how many compressible ones have.

    Args:
        ends: whether the text ends after n positions, and with it the last chunk.
    """
    begun = first // chunk_size * chunk_size
    fall = [*range(begun + chunk_size, n, chunk_size), *([n] if n and (ends or n % chunk_size == 0) else [])]
    return [(end, end - protection.window, protection.compressible_left(end)) for end in fall]


def _by_budget(scores: Tensor, rule: Budget, protection: Protection, chunk_size: int, ends: bool) -> Expiries:
    heads, n = scores.shape
    expires = torch.full((heads, n), n, dtype=torch.int64)
    held = torch.ones((heads, n), dtype=torch.bool)
    if ends:
        schedule = _schedule(0, n, rule, protection, chunk_size, ends=True)
        drops_at = schedule.drops_at
        dropped = _dropped(scores, schedule) if drops_at.numel() else None
    else:
        dropped, drops_at = drops_of_budget(scores[:, protection.n_sink :], rule, protection, chunk_size, 0, n)
        dropped = dropped + protection.n_sink
    if dropped is not None and drops_at.numel():
        expires.scatter_(1, dropped, drops_at.expand(heads, -1))
        held.scatter_(1, dropped, False)
    return Expiries(expires.to(scores.device), held.to(scores.device))


def drops_of_budget(
    scores: Float[Tensor, "G M"], rule: Budget, protection: Protection, chunk_size: int, first: int, n: int
) -> tuple[Int[Tensor, "G drops"], Int[Tensor, " drops"]]:
    """What the queries first..n-1 of a text that goes on drop: which columns of `scores`, and their expiries.

    Args:
        scores: of the compressible positions that are held of those that had left the window, then of the positions
            that had not, each in order.
    """
    schedule = _schedule(first, n, rule, protection, chunk_size, ends=False)
    if not schedule.drops_at.numel():
        return torch.zeros(scores.shape[0], 0, dtype=torch.int64), schedule.drops_at
    return _dropped(scores, schedule), schedule.drops_at


def _dropped(scores: Tensor, schedule: "_Schedule") -> Int[Tensor, "G drops"]:
    """The columns that are pushed out of each head, in order."""
    # A stable sort gives each position a rank that is unique and breaks ties in favour of the later one, so that
    # the heaps hold plain integers.
    order = torch.argsort(scores.cpu(), dim=1, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(scores.shape[1]).expand_as(order))
    return order.gather(1, torch.tensor([_dropped_ranks(ranks, schedule) for ranks in rank.tolist()]))


@dataclass(frozen=True, eq=False)
class _Schedule:
    """Positions enter a heap as they leave the window; some find room, the others push the lowest out.

    Attributes:
        runs: (first, room, last): columns first..room-1 find room, columns room..last-1 push one out each.
        drops_at: [drops], the expiry of what is pushed out, in order.
    """

    runs: tuple[tuple[int, int, int], ...]
    drops_at: Int[Tensor, " drops"]


@lru_cache(maxsize=8)
def _schedule(first: int, n: int, rule: Budget, protection: Protection, chunk_size: int, ends: bool) -> _Schedule:
    """The same for every layer and head: capacities do not depend on scores.

    Args:
        first: the first query.
        ends: whether the text ends after n positions, and with it the last chunk. It is a whole one then, and columns
            are positions; else they are as in `drops_of_budget`.
    """
    begun = first // chunk_size * chunk_size
    entered = max(protection.n_sink, begun - protection.window)
    held = rule.capacity(protection.compressible_left(begun))
    shift = 0 if ends else held - entered
    runs: list[tuple[int, int, int]] = [(0, held, held)] if held else []
    drops_at: list[int] = []
    for end, leaving, m in decisions(first, n, protection, chunk_size, ends):
        if leaving <= entered:
            continue
        room = min(leaving - entered, rule.capacity(m) - held)
        drops_at += [end] * (leaving - entered - room)
        if room or not runs:
            runs.append((entered + shift, entered + shift + room, leaving + shift))
        else:
            runs[-1] = (*runs[-1][:2], leaving + shift)
        held, entered = held + room, leaving
    return _Schedule(tuple(runs), torch.tensor(drops_at, dtype=torch.int64))


def _dropped_ranks(ranks: list[int], schedule: _Schedule) -> list[int]:
    """The ranks that are pushed out of one head, in order."""
    heap: list[int] = []
    dropped: list[int] = []
    push, push_out = heapq.heappush, heapq.heappushpop
    for first, room, last in schedule.runs:
        for rank in ranks[first:room]:
            push(heap, rank)
        dropped += [push_out(heap, rank) for rank in ranks[room:last]]
    return dropped
