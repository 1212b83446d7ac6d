"""How agents learn in their context: the mean return of each episode, with the optimum above it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from keepmap.agents.evaluation.returns import Evaluation, curve
from keepmap.drawing.parts.page import Heading, blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import curve_style, figure_style
from keepmap.errors import InputError

__all__ = ["Curve", "learning_curve", "points"]

BIN = 0.05
OPTIMUM = "0.35"
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


@dataclass(frozen=True, eq=False)
class Curve:
    """What is drawn of one label: a point for each bin of episodes.

    Attributes:
        episode: the bins' mean episodes, counted from 1.
        mean: the mean return over the bin's episodes, goals and training seeds.
        low, high: its 95 % bootstrap interval over goals and training seeds; None for one of both.
        optimum: the mean over goals. n_goals, n_seeds, episodes: how many.
    """

    episode: Float[np.ndarray, " bins"]
    mean: Float[np.ndarray, " bins"]
    low: Float[np.ndarray, " bins"] | None
    high: Float[np.ndarray, " bins"] | None
    optimum: float
    n_goals: int
    n_seeds: int
    episodes: int


def points(evaluations: Evaluation | Sequence[Evaluation]) -> Curve:
    """The points of a curve: single episodes at first, then means over bins of at most 5 % of the episodes so far.

    Args:
        evaluations: one, or several of agents of the same kind that were trained from different seeds.

    Raises:
        InputError: none, or evaluations on other goals or numbers of episodes.
    """
    several = [evaluations] if isinstance(evaluations, Evaluation) else list(evaluations)
    if not several:
        raise InputError("the learning curve of no evaluation was asked for; give one or more")
    edges = _edges(several[0].episodes)
    mean, low, high = curve(several, edges)
    return Curve(
        (edges[:-1] + 1 + edges[1:]) / 2,
        mean,
        low,
        high,
        float(np.mean(several[0].optimum)),
        len(several[0].goals),
        len(several),
        several[0].episodes,
    )


def learning_curve(
    evaluations: Mapping[str, Evaluation | Sequence[Evaluation]],
    *,
    title: str = "Return in context",
    ax: Axes | None = None,
) -> tuple[Axes, ...]:
    """Draw the mean return over goals against the episode, its 95 % interval as a band, and the optimum as a line.

    The axis of episodes is logarithmic: most of what an agent learns, it learns in the first ten.

    Args:
        evaluations: a label for each curve, and what it shows; several evaluations of one label are training seeds.
        title: the first line above the figure.
        ax: the Axes to draw into. By default a new Figure's, in the project's style whatever the user's rcParams are.

    Returns:
        The Axes drawn into, alone.

    Raises:
        InputError: no evaluation, or evaluations of one label on other goals or numbers of episodes.
    """
    if not evaluations:
        raise InputError("a learning curve of no evaluation was asked for; give a label and an evaluation")
    curves = {label: points(one) for label, one in evaluations.items()}
    if ax is not None:
        _draw(ax, curves, _heading(curves, title, width_in_points(ax)))
        return (ax,)
    width, height = 6.0, 3.4
    with figure_style():
        heading = _heading(curves, title, width * 72)
        top = heading.height + 0.1
        figure = blank_figure(width + 1.1, top + height + 0.6, " · ".join((title, *heading.statistics)))
        ax = panel(figure, 0.8, top, width, height)
        _draw(ax, curves, heading)
    return (ax,)


def _heading(curves: Mapping[str, Curve], title: str, width: float) -> Heading:
    legend = [Line2D([], [], label=label, linewidth=1.4, **curve_style(number)) for number, label in enumerate(curves)]
    legend += [Line2D([], [], label=f"optimum {best:.2f}", **_optimum()) for best in _optima(curves)]
    several = any(one.n_seeds > 1 for one in curves.values())
    statistics = [
        "mean and 95 % interval over " + " and ".join([_counts(curves, "goals"), *[_counts(curves, "seeds")] * several])
    ]
    if any(len(one.episode) < one.episodes for one in curves.values()):
        statistics.append(f"later episodes in bins of {100 * BIN:.0f} %")
    return Heading(title, statistics, legend, width)


def _counts(curves: Mapping[str, Curve], what: str) -> str:
    """`8 goals`, or `1 to 5 seeds` where the curves differ."""
    found = [one.n_goals if what == "goals" else one.n_seeds for one in curves.values()]
    least, most = min(found), max(found)
    return f"{least if least == most else f'{least} to {most}'} {what if most > 1 else what[:-1]}"


def _draw(ax: Axes, curves: Mapping[str, Curve], heading: Heading) -> None:
    for number, (label, one) in enumerate(curves.items()):
        style = curve_style(number)
        if one.low is not None and one.high is not None:
            ax.fill_between(one.episode, one.low, one.high, color=style["color"], alpha=0.16, linewidth=0)
        marker = "o" if len(one.episode) == 1 else None
        ax.plot(one.episode, one.mean, linewidth=1.4, label=label, marker=marker, **style)
    for best in _optima(curves):
        ax.axhline(best, label=f"optimum {best:.2f}", **_optimum())
    last = max(one.episodes for one in curves.values())
    highest = max(max(_optima(curves)), *(float(_top(one).max()) for one in curves.values()))
    ax.set_xscale("log")
    ax.set(xlim=(1, max(2, last)), ylim=(0, 1.05 * max(highest, 1e-9)))
    ax.set(xlabel="episode (log scale)", ylabel="return (reward per episode)")
    ticks = [tick for tick in TICKS if tick <= max(2, last)]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.spines[["top", "right"]].set_visible(False)
    heading.draw(ax)


def _top(one: Curve) -> Float[np.ndarray, " bins"]:
    return one.mean if one.high is None else one.high


def _edges(episodes: int) -> Integer[np.ndarray, " edges"]:
    """Where bins of episodes begin, counted from 0, and where the last one ends."""
    edges = [0]
    while edges[-1] < episodes:
        edges.append(min(episodes, edges[-1] + max(1, int(BIN * edges[-1]))))
    return np.array(edges)


def _optima(curves: Mapping[str, Curve]) -> list[float]:
    """Each optimum once, as far as its label tells them apart."""
    return list({f"{one.optimum:.2f}": one.optimum for one in curves.values()}.values())


def _optimum() -> dict[str, Any]:
    return {"color": OPTIMUM, "linewidth": 1.0, "linestyle": (0, (2, 2))}
