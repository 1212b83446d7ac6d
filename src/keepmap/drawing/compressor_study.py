"""What compressors cost: the return against how much shorter the histories are, a line for each compressor."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from keepmap.agents.evaluation.returns import EARLY
from keepmap.agents.study.results import BASELINE, Study, StudyRow
from keepmap.drawing.parts.page import Heading, blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import curve_style, figure_style
from keepmap.errors import InputError

__all__ = ["compressor_study"]

MARKERS = "os^DvPX*"
REFERENCE = "0.35"
SPREAD = 0.6
"""Of the compressors at one budget, as a share of the way to the next."""


def compressor_study(
    study: Study, *, trained: bool = True, title: str = "Return with shortened histories", ax: Axes | None = None
) -> tuple[Axes, ...]:
    """Draw the share of the baseline's return in episodes 21 to 40 against the budget, with 95 % intervals.

    Points of one budget stand side by side, in the order of the legend; budgets are at equal distances.

    Args:
        trained: which rows go into `ax`: agents trained with the compressor, or the baseline's weights under it.
        title: the first line above the figure.
        ax: the Axes to draw into. By default a new Figure's, with a panel for each of the two.

    Returns:
        The Axes drawn into.

    Raises:
        InputError: the study has no such rows.
    """
    ways = [trained] if ax is not None else [way for way in (True, False) if _rows(study, way)]
    if not any(_rows(study, way) for way in ways):
        raise InputError("a study without a compressor that was measured was to be drawn; run one, or choose others")
    names = list(dict.fromkeys(row.compressor for way in ways for row in _rows(study, way)))
    budgets = sorted({row.percent for way in ways for row in _rows(study, way)})
    if ax is not None:
        _draw(ax, study, trained, names, budgets)
        _heading(study, names, title, width_in_points(ax)).draw(ax)
        return (ax,)
    width, height, gap = 3.6, 3.2, 0.25
    total = width * len(ways) + gap * (len(ways) - 1)
    with figure_style():
        heading = _heading(study, names, title, total * 72)
        top = heading.height + 0.25
        figure = blank_figure(total + 1.1, top + height + 0.6, " · ".join((title, *heading.statistics)))
        axes = [panel(figure, 0.8 + number * (width + gap), top, width, height) for number in range(len(ways))]
        for one, way in zip(axes, ways, strict=True):
            _draw(one, study, way, names, budgets)
        heading.draw(axes[0])
        low = min(one.get_ylim()[0] for one in axes)
        high = max(one.get_ylim()[1] for one in axes)
        for number, one in enumerate(axes):
            one.set_ylim(low, high)
            if number:
                one.set(ylabel="")
                one.tick_params(labelleft=False)
    return tuple(axes)


def _rows(study: Study, trained: bool) -> list[StudyRow]:
    return [
        row for row in study.rows if row.trained == trained and row.compressor != BASELINE and row.share is not None
    ]


def _heading(study: Study, names: Sequence[str], title: str, width: float) -> Heading:
    legend = [Line2D([], [], label=name, **_style(number)) for number, name in enumerate(names)]
    seeds = sorted({row.n_seeds for row in study.rows if row.compressor != BASELINE})
    goals = study.rows[0].early.n
    shown = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    statistics = [
        f"mean of episodes {EARLY[0]} to {EARLY[1]}",
        f"95 % interval over {goals} goal{'s' * (goals > 1)} and {shown} training seed{'s' * (seeds[-1] > 1)}",
    ]
    return Heading(title, statistics, legend, width, lift=14.0)


def _draw(ax: Axes, study: Study, trained: bool, names: Sequence[str], budgets: Sequence[float]) -> None:
    by_name: dict[str, list[StudyRow]] = {name: [] for name in names}
    for row in _rows(study, trained):
        by_name[row.compressor].append(row)
    drawn: list[ErrorbarContainer] = []
    for number, (name, rows) in enumerate(by_name.items()):
        if not rows:
            continue
        shift = SPREAD * ((number + 0.5) / len(names) - 0.5)
        shares = [row.share for row in sorted(rows, key=lambda row: row.percent) if row.share is not None]
        places = [budgets.index(row.percent) + shift for row in sorted(rows, key=lambda row: row.percent)]
        ends = [
            (one.mean if one.low is None else one.low, one.mean if one.high is None else one.high) for one in shares
        ]
        reach = [
            [100 * max(0.0, one.mean - low) for one, (low, _) in zip(shares, ends, strict=True)],
            [100 * max(0.0, high - one.mean) for one, (_, high) in zip(shares, ends, strict=True)],
        ]
        drawn.append(
            ax.errorbar(
                places,
                [100 * one.mean for one in shares],
                yerr=reach,
                label=name,
                capsize=1.5,
                elinewidth=0.8,
                **_style(number),
            )
        )
    ax.axhline(100, color=REFERENCE, linewidth=1.0, linestyle=(0, (2, 2)), label="baseline")
    ax.set(xlim=(-0.5, len(budgets) - 0.5), xlabel="shorter histories (%)", ylabel="return (% of the baseline's)")
    ax.xaxis.set_major_locator(FixedLocator(range(len(budgets))))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{percent:g}" for percent in budgets])
    how = "trained from nothing" if study.options.get("from_scratch") else "retrained with it"
    ax.annotate(
        how if trained else "in rollout only",
        (0, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        fontstyle="italic",
        parse_math=False,
    )
    ax.spines[["top", "right"]].set_visible(False)


def _style(number: int) -> dict[str, Any]:
    return {
        **curve_style(number),
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4.5,
        "linewidth": 1.0,
        "markeredgewidth": 0.0,
    }
