"""What compressors cost: the return against what is kept of the histories, a panel for each compressor."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from keepmap.agents.evaluation.returns import EARLY
from keepmap.agents.study.results import BASELINE, Study, StudyRow
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import figure_style
from keepmap.errors import InputError

__all__ = ["compressor_study"]

REFERENCE = "0.35"
STYLES: dict[bool, dict[str, Any]] = {
    True: {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    False: {"color": "#D55E00", "marker": "s", "linestyle": (0, (5, 2)), "markerfacecolor": "white"},
}
"""Of agents trained with the compressor, and of the baseline's weights under it."""
COLUMNS = 4
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def compressor_study(
    study: Study,
    *,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw the share of the baseline's return in episodes 21 to 40 against the share of the history that was kept.

    Each compressor has a panel of its own, all of one scale: how much it kept, as it was measured (a threshold may
    keep far less than its budget), on a logarithmic axis; and with 95 % intervals, what the agent earned that was
    retrained with it, and the one whose weights are the baseline's.

    Args:
        study: what `keepmap.read_study` gives, or a study that was just run.
        title: the first line above the figure; by default "Return with shortened histories", "" for none.
        legend: whether there is a legend.
        caption: whether the episodes, and what the intervals are over, are written under the title; a string stands
            there instead.
        ax: the Axes to draw into, one for each compressor. By default a new Figure's.

    Returns:
        The Axes drawn into, in the study's order of compressors.

    Raises:
        InputError: the study has no compressor with a share, is none, or has more or fewer compressors than Axes.

    >>> import keepmap
    >>> from dataclasses import fields
    >>> from keepmap.agents.evaluation.returns import Estimate
    >>> from keepmap.agents.study.results import StudyRow, Study
    >>> values = {field.name: 1 if field.type is int else 1.0 for field in fields(StudyRow)}
    >>> returns = Estimate(0.9, 0.8, 1.0, 8)  # a mean, its interval, and of how many goals
    >>> values |= dict.fromkeys(("early", "whole", "share", "distance"), returns)
    >>> rows = tuple(
    ...     StudyRow(**values | {"compressor": "recency", "ratio": ratio, "trained": True}) for ratio in (0.5, 0.2)
    ... )
    >>> study = Study(results=rows, promises=(), pattern={}, options={}, versions={})
    >>> (ax,) = keepmap.draw.compressor_study(study)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['20', '50', '100']
    """
    check_kind("study", study, Study, "a Study")
    rows = [row for row in study.results if row.compressor != BASELINE and row.share is not None]
    if not rows:
        raise InputError("`study` has no compressor with a share of the baseline's return; run one, or choose others")
    by_name: dict[str, list[StudyRow]] = {}
    for row in rows:
        by_name.setdefault(row.compressor, []).append(row)
    wording = Wording("Return with shortened histories", title, legend, caption)
    if ax is not None:
        axes = given_axes(ax, len(by_name))
        _draw_all(axes, by_name, len(by_name))
        _heading(study, rows, wording, width_in_points(*axes)).draw(axes[0])
        return axes
    columns = min(COLUMNS, len(by_name))
    lines = math.ceil(len(by_name) / columns)
    width, height, gap, between = 1.75, 1.6, 0.2, 0.45
    total = columns * width + (columns - 1) * gap
    with figure_style():
        heading = _heading(study, rows, wording, max(total, 4.5) * 72)
        top = heading.height + 0.25
        figure = blank_figure(max(total, 4.5) + 1.0, top + lines * height + (lines - 1) * between + 0.6, heading.label)
        axes = tuple(
            panel(
                figure,
                0.75 + number % columns * (width + gap),
                top + number // columns * (height + between),
                width,
                height,
            )
            for number in range(len(by_name))
        )
        _draw_all(axes, by_name, columns)
        heading.draw(axes[0])
    return axes


def _heading(study: Study, rows: Sequence[StudyRow], wording: Wording, width: float) -> Heading:
    how = "trained from nothing with it" if study.options.get("from_scratch") else "retrained with it"
    names = {True: how, False: "in rollout only"}
    ways = [way for way in (True, False) if any(row.trained == way for row in rows)]
    legend = [Line2D([], [], label=names[way], linewidth=1.2, markersize=4, **STYLES[way]) for way in ways]
    legend.append(Line2D([], [], label="the whole history", **_reference()))
    seeds = sorted({row.n_seeds for row in rows})
    goals = study.results[0].early.n
    shown = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    statistics = [
        f"mean of episodes {EARLY[0]} to {EARLY[1]}",
        f"95 % interval over {goals} goal{'s' * (goals > 1)} and {shown} training seed{'s' * (seeds[-1] > 1)}",
    ]
    return wording.heading(statistics, legend, width, lift=14.0)


def _draw_all(axes: Sequence[Axes], by_name: dict[str, list[StudyRow]], columns: int) -> None:
    """Every panel, and one scale for all of them."""
    kept = [100 * row.ratio for rows in by_name.values() for row in rows]
    ticks = [tick for tick in TICKS if min(kept) * 0.8 <= tick <= 100] or [100]
    for number, (panel_ax, (name, rows)) in enumerate(zip(axes, by_name.items(), strict=True)):
        _draw(panel_ax, name, rows)
        panel_ax.set_xscale("log")
        panel_ax.set_xlim(0.7 * min(kept), 130)
        panel_ax.xaxis.set_major_locator(FixedLocator(ticks))
        panel_ax.xaxis.set_minor_locator(NullLocator())
        panel_ax.set_xticklabels([f"{tick:g}" for tick in ticks])
        panel_ax.tick_params(labelsize=8)
        if number % columns:
            panel_ax.tick_params(labelleft=False)
        else:
            panel_ax.set_ylabel("return (% of baseline's)", fontsize=8)
        if number + columns >= len(axes):
            panel_ax.set_xlabel("kept of the history (%)", fontsize=8)
    low = min(panel_ax.get_ylim()[0] for panel_ax in axes)
    high = max(panel_ax.get_ylim()[1] for panel_ax in axes)
    for panel_ax in axes:
        panel_ax.set_ylim(low, high)


def _draw(ax: Axes, name: str, rows: Sequence[StudyRow]) -> None:
    for way, style in STYLES.items():
        points = [(row.ratio, row.share) for row in rows if row.trained == way and row.share is not None]
        points.sort(key=lambda point: point[0])
        if not points:
            continue
        ends = [[share.mean if end is None else end for end in (share.low, share.high)] for _, share in points]
        reach = [
            [100 * max(0.0, share.mean - low) for (_, share), (low, _) in zip(points, ends, strict=True)],
            [100 * max(0.0, high - share.mean) for (_, share), (_, high) in zip(points, ends, strict=True)],
        ]
        ax.errorbar(
            [100 * ratio for ratio, _ in points],
            [100 * share.mean for _, share in points],
            yerr=reach,
            label="retrained" if way else "in rollout only",
            capsize=2,
            elinewidth=0.8,
            linewidth=1.2,
            markersize=4,
            **style,
        )
    ax.axhline(100, **_reference())
    ax.annotate(
        name,
        (0, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        parse_math=False,
    )
    ax.spines[["top", "right"]].set_visible(False)


def _reference() -> dict[str, Any]:
    return {"color": REFERENCE, "linewidth": 1.0, "linestyle": (0, (2, 2))}
