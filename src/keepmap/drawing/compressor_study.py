"""What compressors cost: the return against how much shorter the histories are, a line for each compressor."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from keepmap.agents.evaluation.returns import EARLY
from keepmap.agents.study.results import BASELINE, Study, StudyRow
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import figure_style, marked_style
from keepmap.errors import InputError

__all__ = ["compressor_study"]

REFERENCE = "0.35"
SPREAD = 0.6
"""Of the compressors at one budget, as a share of the way to the next."""


def compressor_study(
    study: Study,
    *,
    trained: bool = True,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw the share of the baseline's return in episodes 21 to 40 against the budget, with 95 % intervals.

    Points of one budget stand side by side, in the order of the legend; budgets are at equal distances.

    Args:
        study: what `keepmap.read_study` gives, or a study that was just run.
        trained: which rows go into `ax`: agents trained with the compressor, or the baseline's weights under it.
        title: the first line above the figure; by default "Return with shortened histories", "" for none.
        legend: whether there is a legend.
        caption: whether the episodes, and what the intervals are over, are written under the title; a string stands
            there instead.
        ax: the Axes to draw into. By default a new Figure's, with a panel for each of the two.

    Returns:
        The Axes drawn into.

    Raises:
        InputError: the study has no such rows, or is none.

    >>> import keepmap
    >>> from dataclasses import fields
    >>> from keepmap.agents.evaluation.returns import Estimate
    >>> from keepmap.agents.study.results import StudyRow, Study
    >>> values = {field.name: 1 if field.type is int else 1.0 for field in fields(StudyRow)}
    >>> returns = Estimate(0.9, 0.8, 1.0, 8)  # a mean, its interval, and of how many goals
    >>> values |= dict.fromkeys(("early", "whole", "share", "distance"), returns)
    >>> rows = tuple(
    ...     StudyRow(**values | {"compressor": "recency", "percent": percent, "trained": True})
    ...     for percent in (50.0, 80.0)
    ... )
    >>> study = Study(results=rows, promises=(), pattern={}, options={}, versions={})
    >>> (ax,) = keepmap.draw.compressor_study(study)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['50', '80']
    """
    check_kind("study", study, Study, "a Study")
    into = None if ax is None else given_axes(ax, 1)
    ways = [trained] if into is not None else [way for way in (True, False) if _rows(study, way)]
    if not any(_rows(study, way) for way in ways):
        raise InputError("`study` has no compressor with a share of the baseline's return; run one, or choose others")
    names = list(dict.fromkeys(row.compressor for way in ways for row in _rows(study, way)))
    budgets = sorted({row.percent for way in ways for row in _rows(study, way)})
    wording = Wording("Return with shortened histories", title, legend, caption)
    if into is not None:
        _draw(into[0], study, trained, names, budgets)
        _heading(study, names, wording, width_in_points(into[0])).draw(into[0])
        return into
    width, height, gap = 3.6, 3.2, 0.25
    total = width * len(ways) + gap * (len(ways) - 1)
    with figure_style():
        heading = _heading(study, names, wording, total * 72)
        top = heading.height + 0.25
        figure = blank_figure(total + 1.1, top + height + 0.6, heading.label)
        axes = [panel(figure, 0.8 + number * (width + gap), top, width, height) for number in range(len(ways))]
        for panel_ax, way in zip(axes, ways, strict=True):
            _draw(panel_ax, study, way, names, budgets)
        heading.draw(axes[0])
        low = min(panel_ax.get_ylim()[0] for panel_ax in axes)
        high = max(panel_ax.get_ylim()[1] for panel_ax in axes)
        for number, panel_ax in enumerate(axes):
            panel_ax.set_ylim(low, high)
            if number:
                panel_ax.set(ylabel="")
                panel_ax.tick_params(labelleft=False)
    return tuple(axes)


def _rows(study: Study, trained: bool) -> list[StudyRow]:
    return [
        row for row in study.results if row.trained == trained and row.compressor != BASELINE and row.share is not None
    ]


def _heading(study: Study, names: Sequence[str], wording: Wording, width: float) -> Heading:
    legend = [Line2D([], [], label=name, **marked_style(number)) for number, name in enumerate(names)]
    seeds = sorted({row.n_seeds for row in study.results if row.compressor != BASELINE})
    goals = study.results[0].early.n
    shown = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    statistics = [
        f"mean of episodes {EARLY[0]} to {EARLY[1]}",
        f"95 % interval over {goals} goal{'s' * (goals > 1)} and {shown} training seed{'s' * (seeds[-1] > 1)}",
    ]
    return wording.heading(statistics, legend, width, lift=14.0)


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
            (share.mean if share.low is None else share.low, share.mean if share.high is None else share.high)
            for share in shares
        ]
        reach = [
            [100 * max(0.0, share.mean - low) for share, (low, _) in zip(shares, ends, strict=True)],
            [100 * max(0.0, high - share.mean) for share, (_, high) in zip(shares, ends, strict=True)],
        ]
        drawn.append(
            ax.errorbar(
                places,
                [100 * share.mean for share in shares],
                yerr=reach,
                label=name,
                capsize=1.5,
                elinewidth=0.8,
                **marked_style(number),
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
