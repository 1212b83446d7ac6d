"""Returns between those of a random and of the best agent: at the end of a life, and on the way there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from keepmap.core.intervals import mean_interval
from keepmap.core.statistics.aggregates import Aggregate, interquartile_mean

__all__ = ["Adaptation", "Normalised", "end_of_life", "normalised_returns"]

MOST_AT_THE_END = 20
REACHED = 0.9
"""Of what the best agent earns above a random one."""

Returns = Float[np.ndarray, "G C E"]
Expected = Float[np.ndarray, "G L"]


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """How an agent came to what it earns at the end, by the mean over goals of each episode.

    Attributes:
        episodes: the first whose normalised return is 0.9 or more, counted from 1; None where there is none.
        regret: how much less than the best agent was earned in all episodes together, the mean over goals.
        drop: how far the normalised return ever fell below its highest before.
    """

    episodes: int | None
    regret: float
    drop: float


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """What was earned above a random agent, as a share of what the best agent earns above it.

    Attributes:
        mean: at the end of the life: over goals and copies; low, high: its 95 % interval over goals, None of fewer than
            three.
        middle: the interquartile mean of copies and goals, with its bootstrap over both.
        curve: of each episode; NaN where the best agent earns no more than a random one.
        end: the first and the last episode of the end, counted from 1.
        of_goals: [G, C], at the end.
    """

    mean: float
    low: float | None
    high: float | None
    middle: Aggregate
    curve: tuple[float, ...]
    end: tuple[int, int]
    of_goals: Float[np.ndarray, "G C"]
    adaptation: Adaptation


def end_of_life(episodes: int) -> tuple[int, int]:
    """The last quarter, 20 episodes at most: the first and the last of them, counted from 1.

    >>> end_of_life(20), end_of_life(500), end_of_life(1)
    ((16, 20), (481, 500), (1, 1))
    """
    return episodes - max(1, min(MOST_AT_THE_END, episodes // 4)) + 1, episodes


def normalised_returns(
    returns: Returns, best: Expected, random: Expected, end: Sequence[int] | None = None
) -> Normalised | None:
    """(return - random) / (best - random), of sums over the last episodes; None where nothing can be earned there.

    >>> returns = np.array([[[0.0, 1.0, 1.0, 2.0]], [[1.0, 2.0, 1.0, 2.0]], [[0.0, 0.0, 2.0, 2.0]]])
    >>> found = normalised_returns(returns, np.full((3, 1), 2.0), np.zeros((3, 1)))
    >>> found.mean, found.curve, found.adaptation
    (1.0, (0.1666..., 0.5, 0.6666..., 1.0), Adaptation(episodes=4, regret=3.3333..., drop=0.0))

    Args:
        best, random: of each episode (or of all, where L is 1), as `expected_returns` gives them.
        end: the first and the last episode that count, counted from 1; by default the last quarter, 20 at most.
    """
    episodes = returns.shape[2]
    first, last = end_of_life(episodes) if end is None else end
    best, random = (np.broadcast_to(each, (len(returns), episodes)) for each in (best, random))
    span = slice(first - 1, last)
    can_be = (best - random)[:, span].sum(1)
    if not (can_be > 0).all():
        return None
    of_goals = (returns - random[:, None])[:, :, span].sum(2) / can_be[:, None]
    low, high = mean_interval(of_goals.mean(1), (-math.inf, math.inf))
    above, most = (returns.mean(1) - random).mean(0), (best - random).mean(0)
    curve = np.divide(above, most, out=np.full(episodes, math.nan), where=most > 0)
    known = curve[~np.isnan(curve)]
    reached = np.flatnonzero(curve >= REACHED)
    return Normalised(
        mean=float(of_goals.mean()),
        low=low,
        high=high,
        middle=interquartile_mean(of_goals.T, draw_tasks=True),
        curve=tuple(curve.tolist()),
        end=(first, last),
        of_goals=of_goals,
        adaptation=Adaptation(
            episodes=int(reached[0]) + 1 if len(reached) else None,
            regret=float((best - returns.mean(1)).sum(1).mean()),
            drop=float((np.maximum.accumulate(known) - known).max()),
        ),
    )
