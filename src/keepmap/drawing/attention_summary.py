"""How the guide's statistics of one layer are spread over samples: dots of a few, histograms of many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from keepmap.core.intervals import LEAST, NOT_NEGATIVE, mean_interval
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.fitting import fit_into_figure
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import figure_style, number_decades
from keepmap.errors import InputError

__all__ = ["attention_summary"]

BARS, MEAN, THRESHOLD = "0.85", "#0072B2", "#D55E00"
MOST_BINS = 30
FEWEST = 10
"""Of fewer samples each is a dot: a histogram of five has bars of one."""
WIDE = 100.0
"""A largest value of so many times the smallest is drawn on a logarithmic axis."""

TINY = 1e-12
"""No statistic's differences are looked at below this."""


@dataclass(frozen=True)
class _Statistic:
    """One of the guide's statistics: its key, its name in the guide, its unit, and the guide's thresholds.

    Attributes:
        means: what the thresholds say, for the axis.
    """

    key: str
    title: str
    unit: str
    thresholds: tuple[float, ...] = ()
    means: str = ""


STATISTICS = (
    _Statistic("mean", "Mean context attention", "attention weight"),
    _Statistic("std", "Attention concentration (std dev)", "attention weight"),
    _Statistic("entropy", "Attention entropy (uniformity)", "nats", (1.5, 2.0), "below 1.5 focused, above 2.0 uniform"),
    _Statistic(
        "recent_distant_ratio", "Recent/Distant ratio", "ratio", (1.2, 2.0), "below 1.2 spread, above 2.0 recency"
    ),
)


def attention_summary(
    statistics: Sequence[Mapping[str, float]],
    ax: AxesLike | None = None,
    *,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    intervals: bool = True,
) -> tuple[Axes, ...]:
    """Draw four statistics over samples: mean, standard deviation, entropy and recent/distant ratio of the query's row.

    Fewer than ten samples are dots; more are a histogram, with a tick below for each. Above stand the number of
    samples, their mean and its 95 % interval (none for fewer than three). Dashed lines are the guide's thresholds:
    entropies of 1.5 and 2.0 nats, ratios of 1.2 and 2.0. Samples without a value (a ratio of fewer than two positions)
    are left out, and counted.

    Args:
        statistics: what `AttentionProfile.guide_statistics` gives of one layer, one for each sample.
        ax: four Axes to draw into. By default a new Figure's, in the project's style whatever the user's rcParams are.
        title: the first line above the figure; by default "Attention of the query, over samples", "" for none.
        legend: whether there is a legend.
        caption: whether the number of samples is written under the title; a string stands there instead.
        intervals: whether the mean has its interval; leave it out for samples that depend on each other, as moments of
            one life do.

    Returns:
        The four Axes, in the order above. Nothing is shown, saved or closed.

    Raises:
        InputError: no samples, one without a statistic, something else, or not four Axes.

    Differs from the guide: intervals and thresholds are drawn; samples without a ratio are counted, not dropped in
    silence.

    >>> import keepmap
    >>> samples = [{"mean": 0.1, "std": 0.2, "entropy": nats, "recent_distant_ratio": 1.0} for nats in (1.2, 1.4)]
    >>> mean, std, entropy, ratio = keepmap.draw.attention_summary(samples)
    >>> print(entropy.texts[0].get_text())
    Attention entropy (uniformity)
    n = 2 · mean 1.3 nats
    """
    expected = "a sequence of statistics (what AttentionProfile.guide_statistics gives of each sample)"
    check_kind("statistics", statistics, Sequence, expected)
    if not statistics:
        raise InputError("`statistics` is empty; give those of one sample or more")
    for sample in statistics:
        check_kind("statistics", sample, Mapping, expected)
    values = [_values(statistics, statistic.key) for statistic in STATISTICS]
    wording = Wording("Attention of the query, over samples", title, legend, caption)
    if ax is not None:
        axes = given_axes(ax, len(STATISTICS))
        for panel_ax, statistic, samples in zip(axes, STATISTICS, values, strict=True):
            _draw(panel_ax, statistic, samples, intervals)
        _heading(statistics, wording, width_in_points(*axes), intervals).draw(axes[0])
        fit_into_figure(axes)
        return axes
    width, height, gap, between = 3.9, 1.55, 0.75, 1.0
    with figure_style():
        heading = _heading(statistics, wording, (2 * width + gap) * 72, intervals)
        top = heading.height + 0.05
        figure = blank_figure(2 * width + gap + 0.9, top + 2 * height + between + 0.55, heading.label)
        axes = tuple(
            panel(figure, 0.65 + column * (width + gap), top + row * (height + between), width, height)
            for row in range(2)
            for column in range(2)
        )
        for panel_ax, statistic, samples in zip(axes, STATISTICS, values, strict=True):
            _draw(panel_ax, statistic, samples, intervals)
        heading.draw(axes[0])
    return axes


def _values(statistics: Sequence[Mapping[str, float]], key: str) -> Float[np.ndarray, " n"]:
    for number, sample in enumerate(statistics, 1):
        if key not in sample:
            raise InputError(
                f'sample {number} of `statistics` has no "{key}", only {", ".join(map(str, sample)) or "nothing"}; '
                "give what AttentionProfile.guide_statistics returns"
            )
    return np.array([float(sample[key]) for sample in statistics])


def _heading(statistics: Sequence[Mapping[str, float]], wording: Wording, width: float, intervals: bool) -> Heading:
    n = len(statistics)
    lines = [f"{n} sample{'s' * (n > 1)}", "mean over heads of the query's attention to its context"]
    legend: list[Artist] = [Line2D([], [], color=MEAN, linewidth=1.4, label="mean")]
    if intervals and n >= LEAST:
        legend.append(Line2D([], [], color=MEAN, linewidth=4.0, label="its 95 % interval over samples"))
    legend += [
        Line2D([], [], color="0.0", marker="o" if n < FEWEST else "|", markersize=6, linewidth=0, label="a sample"),
        Line2D([], [], color=THRESHOLD, linewidth=1.2, linestyle=(0, (4, 2)), label="the guide's thresholds"),
    ]
    return wording.heading(lines, legend, width, lift=34.0)


def _draw(ax: Axes, statistic: _Statistic, samples: Float[np.ndarray, " n"], intervals: bool) -> None:
    values = samples[np.isfinite(samples)]
    missing = len(samples) - len(values)
    name = f"{statistic.title} ({missing} without a value left out)" if missing else statistic.title
    ax.annotate(
        f"{name}\n{_summary(values, statistic.unit, intervals)}",
        (0, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        va="bottom",
    )
    edges, wide = _edges(values, statistic.thresholds)
    if wide:
        ax.set_xscale("log")
        number_decades(ax.xaxis)
    few, highest = len(samples) < FEWEST, 1
    if few:
        ax.plot(values, np.full(len(values), 0.5), "o", color="0.0", markersize=5, alpha=0.6, clip_on=False)
    else:
        counts = np.histogram(values, edges)[0]
        highest = max(1, int(counts.max()))
        ax.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BARS, edgecolor="0.35", linewidth=0.5)
        ax.vlines(values, 0.0, 0.06, transform=ax.get_xaxis_transform(), color="0.0", linewidth=1.0)
    interval = _interval(values) if intervals else None
    ends = [*edges[[0, -1]], *statistic.thresholds]
    if interval is not None:
        # On a logarithmic axis an end at 0 is off it: the bar runs into the edge.
        ends += [end for end in interval if end > TINY or not wide]
        ax.hlines(0.95, *interval, transform=ax.get_xaxis_transform(), color=MEAN, linewidth=4.0)
    if len(values):
        ax.axvline(float(values.mean()), color=MEAN, linewidth=1.4)
    for threshold in statistic.thresholds:
        ax.axvline(threshold, color=THRESHOLD, linewidth=1.2, linestyle=(0, (4, 2)))
    low, high = min(ends), max(ends)
    margin = (high / low) ** 0.06 if wide else 0.06 * (high - low)
    ax.set_xlim((low / margin, high * margin) if wide else (low - margin, high + margin))
    ax.set_ylim(0, 1.25 * highest)
    ax.yaxis.set_major_locator(NullLocator() if few else MaxNLocator(nbins=4, integer=True))
    unit = f"{statistic.unit} (log scale)" if wide else statistic.unit
    ax.set_xlabel(f"{unit}: {statistic.means}" if statistic.means else unit, fontsize=9)
    ax.set_ylabel("" if few else "samples", fontsize=9)
    ax.tick_params(labelsize=8, length=2)
    ax.spines[["top", "right"]].set_visible(False)


def _edges(values: Float[np.ndarray, " n"], thresholds: Sequence[float]) -> tuple[Float[np.ndarray, " bins_1"], bool]:
    """Where the bars end, and whether they are equally wide on a logarithmic axis."""
    if not len(values):
        return np.array([0.0, 1.0]), False
    low, high = float(values.min()), float(values.max())
    wide = low > TINY and max(high, *thresholds, 0.0) > WIDE * min(low, *thresholds, low)
    if high - low <= TINY * max(abs(low), abs(high), 1.0):  # one sample, or all alike: a bar that has a width
        reach = 0.03 * max(abs(low), TINY)
        return np.array([low - reach, high + reach]), wide
    bins = min(MOST_BINS, max(4, int(2 * np.sqrt(len(values)))))
    edges = np.geomspace(low, high, bins + 1) if wide else np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high  # rounding must lose no sample
    return edges, wide


def _interval(values: Float[np.ndarray, " n"]) -> tuple[float, float] | None:
    low, high = mean_interval(values, NOT_NEGATIVE)
    return None if low is None or high is None else (low, high)


def _summary(values: Float[np.ndarray, " n"], unit: str, intervals: bool) -> str:
    if not len(values):
        return "n = 0"
    interval = _interval(values) if intervals else None
    ends = "" if interval is None else f" [{interval[0]:.3g}, {interval[1]:.3g}]"
    return f"n = {len(values)} · mean {values.mean():.3g}{ends} {unit}".removesuffix(" ratio")
