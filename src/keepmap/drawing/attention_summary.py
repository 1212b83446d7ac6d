"""How the seed's figures of one layer are spread over samples: four histograms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from keepmap.core.intervals import bootstrap_means
from keepmap.drawing.parts.fitting import fit_into_figure
from keepmap.drawing.parts.page import Heading, blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import figure_style
from keepmap.errors import InputError

__all__ = ["attention_summary"]

BARS, MEAN, THRESHOLD = "0.85", "#0072B2", "#D55E00"
MOST_BINS = 30
WIDE = 100.0
"""A largest value of so many times the smallest is drawn on a logarithmic axis."""

TINY = 1e-12
"""No statistic's differences are looked at below this."""


@dataclass(frozen=True)
class _Figure:
    """One of the seed's figures: its key, its name in the document, its unit, and the document's thresholds."""

    key: str
    title: str
    unit: str
    thresholds: tuple[float, ...] = ()


FIGURES = (
    _Figure("mean", "Mean context attention", "attention weight"),
    _Figure("std", "Attention concentration (std dev)", "attention weight"),
    _Figure("entropy", "Attention entropy (uniformity)", "nats", (1.5, 2.0)),
    _Figure("recent_distant_ratio", "Recent/Distant ratio", "ratio", (1.2, 2.0)),
)


def attention_summary(
    statistics: Sequence[Mapping[str, float]], ax: Axes | Iterable[Axes] | None = None, *, title: str | None = None
) -> tuple[Axes, ...]:
    """Draw four histograms over samples: mean, standard deviation, entropy and recent/distant ratio of the query's row.

    Above each stand the number of samples, their mean and its 95 % bootstrap interval over samples; a tick below is a
    sample. Dashed lines are the seed's thresholds: entropies of 1.5 and 2.0 nats, ratios of 1.2 and 2.0. Samples
    without a value (a ratio of fewer than two positions) are left out, and counted.

    Args:
        statistics: what `AttentionProfile.seed_statistics` gives of one layer, one for each sample.
        ax: four Axes to draw into. By default a new Figure's, in the project's style whatever the user's rcParams are.
        title: the first line above the figure.

    Returns:
        The four Axes, in the order above. Nothing is shown, saved or closed.

    Raises:
        InputError: no samples, one without a figure, or not four Axes.

    Differs from the seed: intervals and thresholds are drawn; samples without a ratio are counted, not dropped in
    silence.
    """
    if not statistics:
        raise InputError("an attention summary of no samples was asked for; give the statistics of one or more")
    values = [_values(statistics, figure.key) for figure in FIGURES]
    title = "Attention of the query, over samples" if title is None else title
    if ax is not None:
        axes = (ax,) if isinstance(ax, Axes) else tuple(ax)
        if len(axes) != len(FIGURES):
            raise InputError(f"an attention summary was to be drawn into {len(axes)} Axes; give {len(FIGURES)}")
        for one, figure, found in zip(axes, FIGURES, values, strict=True):
            _draw(one, figure, found)
        _heading(statistics, title, width_in_points(*axes)).draw(axes[0])
        fit_into_figure(axes)
        return axes
    width, height, gap, between = 3.9, 1.55, 0.75, 1.0
    with figure_style():
        heading = _heading(statistics, title, (2 * width + gap) * 72)
        top = heading.height + 0.05
        label = " · ".join((title, *heading.statistics))
        figure_ = blank_figure(2 * width + gap + 0.9, top + 2 * height + between + 0.55, label)
        axes = tuple(
            panel(figure_, 0.65 + column * (width + gap), top + row * (height + between), width, height)
            for row in range(2)
            for column in range(2)
        )
        for one, figure, found in zip(axes, FIGURES, values, strict=True):
            _draw(one, figure, found)
        heading.draw(axes[0])
    return axes


def _values(statistics: Sequence[Mapping[str, float]], key: str) -> Float[np.ndarray, " n"]:
    for number, sample in enumerate(statistics, 1):
        if key not in sample:
            raise InputError(
                f'sample {number} has no "{key}", only {", ".join(map(str, sample)) or "nothing"}; give what '
                "AttentionProfile.seed_statistics returns"
            )
    return np.array([float(sample[key]) for sample in statistics])


def _heading(statistics: Sequence[Mapping[str, float]], title: str, width: float) -> Heading:
    n = len(statistics)
    lines = [f"{n} sample{'s' * (n > 1)}", "mean over heads of the query's attention to its context"]
    legend: list[Artist] = [Line2D([], [], color=MEAN, linewidth=1.4, label="mean")]
    if n > 1:
        legend.append(Line2D([], [], color=MEAN, linewidth=4.0, label="its 95 % interval (bootstrap over samples)"))
    legend += [
        Line2D([], [], color="0.0", marker="|", markersize=6, linewidth=0, label="a sample"),
        Line2D([], [], color=THRESHOLD, linewidth=1.2, linestyle=(0, (4, 2)), label="the seed's thresholds"),
    ]
    return Heading(title, lines, legend, width, lift=34.0)


def _draw(ax: Axes, figure: _Figure, found: Float[np.ndarray, " n"]) -> None:
    values = found[np.isfinite(found)]
    missing = len(found) - len(values)
    name = f"{figure.title} ({missing} without a value left out)" if missing else figure.title
    ax.annotate(
        f"{name}\n{_said(values, figure.unit)}",
        (0, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        va="bottom",
    )
    edges, wide = _edges(values, figure.thresholds)
    if wide:
        ax.set_xscale("log")
    counts = np.histogram(values, edges)[0]
    ax.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BARS, edgecolor="0.35", linewidth=0.5)
    interval = _interval(values)
    if interval is not None:
        ax.hlines(0.95, *interval, transform=ax.get_xaxis_transform(), color=MEAN, linewidth=4.0)
    if len(values):
        ax.axvline(float(values.mean()), color=MEAN, linewidth=1.4)
    for threshold in figure.thresholds:
        ax.axvline(threshold, color=THRESHOLD, linewidth=1.2, linestyle=(0, (4, 2)))
    ax.vlines(values, 0.0, 0.06, transform=ax.get_xaxis_transform(), color="0.0", linewidth=1.0)
    ends = [*edges[[0, -1]], *figure.thresholds]
    low, high = min(ends), max(ends)
    margin = (high / low) ** 0.06 if wide else 0.06 * (high - low)
    ax.set_xlim((low / margin, high * margin) if wide else (low - margin, high + margin))
    ax.set_ylim(0, 1.25 * max(1, int(counts.max())))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    ax.set_xlabel(f"{figure.unit} (log scale)" if wide else figure.unit, fontsize=9)
    ax.set_ylabel("samples", fontsize=9)
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
    low, high = bootstrap_means(values.reshape(1, -1, 1), 0) if len(values) else (None, None)
    return None if low is None or high is None else (float(low[0]), float(high[0]))


def _said(values: Float[np.ndarray, " n"], unit: str) -> str:
    if not len(values):
        return "n = 0"
    interval = _interval(values)
    ends = "" if interval is None else f" [{interval[0]:.3g}, {interval[1]:.3g}]"
    return f"n = {len(values)} · mean {values.mean():.3g}{ends} {unit}".removesuffix(" ratio")
