"""How agents learn in their context: the mean return of each episode, with the optimum above it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from keepmap.agents.evaluation.returns import Evaluation, curve
from keepmap.core.result_table import ResultTable
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import curve_style, figure_style
from keepmap.errors import InputError

__all__ = ["Curve", "learning_curve", "points"]

BIN = 0.05
OPTIMUM = "0.35"
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """What is drawn of one label: a point for each bin of episodes.

    Attributes:
        episode: the bins' mean episodes, counted from 1.
        mean: the mean return over the bin's episodes, goals and training seeds.
        low, high: its 95 % interval over goals and training seeds; None for fewer than three of both.
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
        evaluations: an evaluation, or several of agents of the same kind that were trained from different seeds.

    Raises:
        InputError: none, or evaluations on other goals or numbers of episodes.

    >>> returns = np.array([[[0.0, 2.0]], [[1.0, 3.0]]])  # of two goals, one agent and two episodes
    >>> evaluation = Evaluation(goals=((0,), (1,)), optimum=(4.0, 4.0), all_returns=returns, options={}, versions={})
    >>> points(evaluation).mean.tolist()
    [0.5, 2.5]
    """
    several = list(evaluations) if isinstance(evaluations, Sequence) else [evaluations]
    if not several:
        raise InputError("`evaluations` has no evaluation; give one or more for each label")
    for evaluation in several:
        check_kind("evaluations", evaluation, Evaluation, "an Evaluation, or several, for each label")
    edges = _edges(several[0].episodes)
    mean, low, high = curve(several, edges)
    return Curve(
        episode=(edges[:-1] + 1 + edges[1:]) / 2,
        mean=mean,
        low=low,
        high=high,
        optimum=float(np.mean(several[0].optimum)),
        n_goals=len(several[0].goals),
        n_seeds=len(several),
        episodes=several[0].episodes,
    )


def learning_curve(
    evaluations: Mapping[str, Evaluation | Sequence[Evaluation]] | Evaluation | Sequence[Evaluation],
    *,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    as_share: bool = False,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw the mean return over goals against the episode, its 95 % interval as a band, and the optimum as a line.

    The axis of episodes is logarithmic: most of what an agent learns, it learns in the first ten. Several labels are
    drawn over each other; where their goals differ, `as_share` makes them comparable.

    Args:
        evaluations: a label for each curve, and what it shows; several evaluations of one label are training seeds. An
            evaluation, or several, without a label are those of "agent".
        title: the first line above the figure; by default "Return in context", "" for none.
        legend: whether there is a legend.
        caption: whether it is written what the intervals are over, under the title; a string stands there instead.
        as_share: whether returns are drawn as per cent of the optimum.
        ax: the Axes to draw into. By default a new Figure's, in the project's style whatever the user's rcParams are.

    Returns:
        The Axes drawn into, alone.

    Raises:
        InputError: no evaluation, shares of an optimum that is 0, or evaluations of one label on other goals or numbers
            of episodes.

    >>> import keepmap, numpy as np
    >>> from keepmap.agents.evaluation.returns import Evaluation
    >>> returns = np.array([[[0.0, 2.0]], [[1.0, 3.0]]])  # of two goals, one agent and two episodes
    >>> evaluation = Evaluation(goals=((0,), (1,)), optimum=(4.0, 4.0), all_returns=returns, options={}, versions={})
    >>> (ax,) = keepmap.draw.learning_curve({"mine": evaluation})
    >>> ax.get_lines()[0].get_ydata().tolist()
    [0.5, 2.5]
    """
    if isinstance(evaluations, (Evaluation, Sequence)):
        evaluations = {"agent": evaluations}
    # A result that is a mapping itself is none of labels.
    if isinstance(evaluations, ResultTable) or not isinstance(evaluations, Mapping):
        check_kind("evaluations", evaluations, Evaluation, "a mapping from labels to Evaluations, or an Evaluation")
    if not evaluations:
        raise InputError("`evaluations` is empty; give a label and an evaluation")
    curves = {label: points(labelled) for label, labelled in evaluations.items()}
    if as_share:
        curves = {label: _shares(label, drawn) for label, drawn in curves.items()}
    wording = Wording("Return in context", title, legend, caption)
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        _draw(ax, curves, _heading(curves, wording, width_in_points(ax), as_share), as_share)
        return (ax,)
    width, height = 6.0, 3.4
    with figure_style():
        heading = _heading(curves, wording, width * 72, as_share)
        top = heading.height + 0.1
        figure = blank_figure(width + 1.1, top + height + 0.6, heading.label)
        ax = panel(figure, 0.8, top, width, height)
        _draw(ax, curves, heading, as_share)
    return (ax,)


def _shares(label: str, drawn: Curve) -> Curve:
    """The same curve in per cent of its optimum."""
    if drawn.optimum <= 0:
        raise InputError(f"`evaluations`: the optimum of {label} is {drawn.optimum:g}; leave `as_share` out")
    scale = 100 / drawn.optimum
    low, high = (None if ends is None else scale * ends for ends in (drawn.low, drawn.high))
    return replace(drawn, mean=scale * drawn.mean, low=low, high=high, optimum=100.0)


def _named(optimum: float, as_share: bool) -> str:
    return "optimum" if as_share else f"optimum {optimum:.2f}"


def _heading(curves: Mapping[str, Curve], wording: Wording, width: float, as_share: bool) -> Heading:
    legend = [Line2D([], [], label=label, linewidth=1.4, **curve_style(number)) for number, label in enumerate(curves)]
    legend += [Line2D([], [], label=_named(best, as_share), **_optimum()) for best in _optima(curves)]
    several = any(drawn.n_seeds > 1 for drawn in curves.values())
    shown = "mean" if all(drawn.low is None for drawn in curves.values()) else "mean and 95 % interval"
    statistics = [f"{shown} over " + " and ".join([_counts(curves, "goals"), *[_counts(curves, "seeds")] * several])]
    if any(len(drawn.episode) < drawn.episodes for drawn in curves.values()):
        statistics.append(f"later episodes in bins of {100 * BIN:.0f} %")
    return wording.heading(statistics, legend, width)


def _counts(curves: Mapping[str, Curve], what: str) -> str:
    """`8 goals`, or `1 to 5 seeds` where the curves differ."""
    counts = [drawn.n_goals if what == "goals" else drawn.n_seeds for drawn in curves.values()]
    least, most = min(counts), max(counts)
    return f"{least if least == most else f'{least} to {most}'} {what if most > 1 else what[:-1]}"


def _draw(ax: Axes, curves: Mapping[str, Curve], heading: Heading, as_share: bool) -> None:
    for number, (label, drawn) in enumerate(curves.items()):
        style = curve_style(number)
        if drawn.low is not None and drawn.high is not None:
            ax.fill_between(drawn.episode, drawn.low, drawn.high, color=style["color"], alpha=0.16, linewidth=0)
        marker = "o" if len(drawn.episode) == 1 else None
        ax.plot(drawn.episode, drawn.mean, linewidth=1.4, label=label, marker=marker, **style)
    for best in _optima(curves):
        ax.axhline(best, label=_named(best, as_share), **_optimum())
    last = max(drawn.episodes for drawn in curves.values())
    highest = max(max(_optima(curves)), *(float(_top(drawn).max()) for drawn in curves.values()))
    ax.set_xscale("log")
    ax.set(xlim=(1, max(2, last)), ylim=(0, 1.05 * max(highest, 1e-9)))
    ax.set(
        xlabel="episode (log scale)", ylabel="return (% of the optimum)" if as_share else "return (reward per episode)"
    )
    ticks = [tick for tick in TICKS if tick <= max(2, last)]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.spines[["top", "right"]].set_visible(False)
    heading.draw(ax)


def _top(drawn: Curve) -> Float[np.ndarray, " bins"]:
    return drawn.mean if drawn.high is None else drawn.high


def _edges(episodes: int) -> Integer[np.ndarray, " edges"]:
    """Where bins of episodes begin, counted from 0, and where the last one ends."""
    edges = [0]
    while edges[-1] < episodes:
        edges.append(min(episodes, edges[-1] + max(1, int(BIN * edges[-1]))))
    return np.array(edges)


def _optima(curves: Mapping[str, Curve]) -> list[float]:
    """Each optimum once, as far as its label tells them apart."""
    return list({f"{drawn.optimum:.2f}": drawn.optimum for drawn in curves.values()}.values())


def _optimum() -> dict[str, Any]:
    return {"color": OPTIMUM, "linewidth": 1.0, "linestyle": (0, (2, 2))}
