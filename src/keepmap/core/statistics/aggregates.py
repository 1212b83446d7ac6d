"""Scores of many tasks as the field sums them up: R runs (training seeds) of T tasks, higher is better.

The definitions are rliable's: R. Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
Precipice", NeurIPS 2021 (arXiv 2108.13264). Its intervals are percentiles of a bootstrap, which of few runs are too
narrow (see `keepmap.core.intervals`); they are here for comparison with what others publish.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from keepmap.core.statistics.samples import numbers_of, table_of
from keepmap.errors import InputError

__all__ = [
    "Aggregate",
    "interquartile_mean",
    "performance_profile",
    "probability_of_improvement",
]

DRAWS = 2000
_LEVELS = (0.025, 0.975)
AT_ONCE = 1 << 21
"""Scores that are drawn together."""

Scores = Sequence[Sequence[float]] | np.ndarray
Table = Float[np.ndarray, "R T"]


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """One number of all runs and tasks.

    Attributes:
        value: of the scores as they are.
        low, high: the 95 % interval of a bootstrap, stratified by task; None for a single run.
        runs, tasks: how many there are.
    """

    value: float
    low: float | None
    high: float | None
    runs: int
    tasks: int

    def __repr__(self) -> str:
        ends = "" if self.low is None else f" [{self.low:.4f} .. {self.high:.4f}]"
        return f"Aggregate({self.value:.4f}{ends}, {self.runs} runs of {self.tasks} tasks)"


def interquartile_mean(scores: Scores, *, seed: int = 0, draw_tasks: bool = False) -> Aggregate:
    """The mean of the middle half of all runs of all tasks (IQM).

    >>> interquartile_mean([[0.1, 0.9], [0.3, 0.7], [0.2, 5.0], [0.4, 0.8]])
    Aggregate(0.5500 [0.4500 .. 1.6250], 4 runs of 2 tasks)

    Args:
        scores: [R, T], a row for each run.
        seed: of the bootstrap, which draws runs, those of each task by themselves.
        draw_tasks: whether it draws tasks, too: of a benchmark that is a sample of tasks.

    Raises:
        InputError: other than a table of finite numbers.
    """
    table = table_of("scores", scores)
    runs, tasks = table.shape
    rng, low, high = np.random.default_rng(seed), None, None
    if runs > 1:
        low, high = _ends([_middle(draws) for draws in _draws(table, rng, table.size, draw_tasks)])
    return Aggregate(value=float(_middle(table[None])[0]), low=low, high=high, runs=runs, tasks=tasks)


def performance_profile(scores: Scores, thresholds: Sequence[float] | np.ndarray) -> Float[np.ndarray, " K"]:
    """The share of all runs of all tasks whose score is above each of K thresholds.

    >>> performance_profile([[0.1, 0.9], [0.3, 0.7]], [0.0, 0.3, 0.8]).tolist()
    [1.0, 0.5, 0.25]

    Args:
        scores: [R, T], a row for each run.

    Raises:
        InputError: other than finite numbers.
    """
    values = np.sort(table_of("scores", scores).reshape(-1))
    return 1 - np.searchsorted(values, numbers_of("thresholds", thresholds), side="right") / len(values)


def probability_of_improvement(a: Scores, b: Scores, *, seed: int = 0) -> Aggregate:
    """How likely a run of a scores above one of b on the same task, on average over tasks; a tie counts as half.

    >>> probability_of_improvement([[0.9, 0.2], [0.8, 0.4]], [[0.1, 0.3], [0.2, 0.3]])
    Aggregate(0.7500 [0.5000 .. 1.0000], 2 runs of 2 tasks)

    Args:
        a, b: [R, T], of the same tasks; the runs of one may be more than those of the other.
        seed: of the bootstrap, which draws runs of either, those of each task by themselves.

    Raises:
        InputError: other than tables of finite numbers with a column for each task.
    """
    first, second = table_of("a", a), table_of("b", b)
    if first.shape[1] != second.shape[1]:
        raise InputError(f"expected `a` and `b` to be of the same tasks, got {first.shape[1]} and {second.shape[1]}")
    runs, size = min(len(first), len(second)), len(first) * second.size
    rng, low, high = np.random.default_rng(seed), None, None
    if runs > 1:
        both = zip(_draws(first, rng, size), _draws(second, rng, size), strict=True)
        low, high = _ends([_above(draws, others) for draws, others in both])
    value = float(_above(first[None], second[None])[0])
    return Aggregate(value=value, low=low, high=high, runs=runs, tasks=first.shape[1])


def _draws(
    table: Table, rng: np.random.Generator, size: int, draw_tasks: bool = False
) -> Iterator[Float[np.ndarray, "B R T"]]:
    """`DRAWS` bootstrap samples of runs, those of each task by themselves, in blocks; `size` is what one comes to."""
    runs, tasks = table.shape
    block = max(1, AT_ONCE // size)
    for begun in range(0, DRAWS, block):
        n = min(block, DRAWS - begun)
        run = rng.integers(runs, size=(n, runs, tasks))
        task = rng.integers(tasks, size=(n, 1, tasks)) if draw_tasks else np.arange(tasks)
        yield table[run, task]


def _middle(tables: Float[np.ndarray, "B R T"]) -> Float[np.ndarray, " B"]:
    """The means without the lowest and the highest quarter, rounded down to whole scores."""
    values = np.sort(tables.reshape(len(tables), -1), axis=1)
    cut = values.shape[1] // 4
    return values[:, cut : values.shape[1] - cut].mean(1)


def _above(firsts: Float[np.ndarray, "B R T"], seconds: Float[np.ndarray, "B S T"]) -> Float[np.ndarray, " B"]:
    """The shares of pairs of runs of a task in which the first is above, half of the ties with them."""
    a, b = firsts[:, :, None], seconds[:, None]
    return 0.5 * ((a > b).mean((1, 2, 3)) + (a >= b).mean((1, 2, 3)))


def _ends(blocks: Sequence[Float[np.ndarray, " B"]]) -> tuple[float, float]:
    low, high = np.quantile(np.concatenate(blocks), _LEVELS)
    return float(low), float(high)
