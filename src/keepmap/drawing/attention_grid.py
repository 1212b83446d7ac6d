"""One number per layer and head: what kinds of heads a model has.

L layers · H heads.
"""

from collections.abc import Callable
from typing import TypeAlias

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Patch
from torch import Tensor

from keepmap.attention import AttentionProfile
from keepmap.core.arguments import as_integer, as_string
from keepmap.core.labels import model_label
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.fitting import COLOUR_BAR, colour_bar_axes, fit_into_figure
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.marks import name_of
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.raster import Raster
from keepmap.drawing.parts.scale import robust_top
from keepmap.drawing.parts.style import figure_style
from keepmap.errors import InputError, did_you_mean

__all__ = ["attention_grid"]

NUMBERS = 16
"""Layers and heads up to which every cell has its number."""

LETTERS = 5
"""The most letters that the number in a cell has."""

NONE, HATCH = "0.93", "0.7"

_Read: TypeAlias = Callable[[AttentionProfile], Float[Tensor, "L H N"]]

STATISTICS: dict[str, tuple[str, str, _Read]] = {
    "entropy": ("entropy", "nats", lambda profile: profile.entropy),
    "normalised_entropy": ("entropy / ln n", "share of ln n", lambda profile: profile.normalised_entropy),
    "effective_positions": ("effective positions", "positions", lambda profile: profile.effective_positions),
    "sink_mass": ("mass in the first {n_sink} positions", "share of attention", lambda profile: profile.sink_mass),
    "window_mass": ("mass in the last {window} positions", "share of attention", lambda profile: profile.window_mass),
    "recent_distant_without_sinks": (
        "recent/distant ratio without sinks",
        "ratio",
        lambda profile: profile.recent_distant_without_sinks,
    ),
}
"""Of each statistic: its name in a title, its unit, and where it is in a profile."""


def attention_grid(
    profile: AttentionProfile,
    ax: AxesLike | None = None,
    *,
    what: str = "entropy",
    query: int | None = None,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
) -> Axes:
    """Draw a statistic of every layer (row) and head (column).

    Up to 16 x 16 of them have their number; a hatched cell has no value. Where one layer of three or more has values
    more than 1.5 times those of all others, these decide the colours, and the bar ends in an arrow.

    Args:
        profile: what `keepmap.profile_attention` gives.
        ax: the Axes to draw into. By default a new Figure's, in the project's style whatever the user's rcParams are.
        what: entropy, normalised_entropy, effective_positions, sink_mass, window_mass, recent_distant_without_sinks.
        query: of which measured query; by default the mean over all measured queries that see two positions or more
            (of the ratio: over those that have one).
        title: the first line above the figure; by default the statistic and the model, "" for none.
        legend: whether there is a legend.
        caption: whether the shape and the queries are written under the title; a string stands there instead.

    Returns:
        The Axes drawn into. Nothing is shown, saved or closed.

    Raises:
        InputError: an unknown statistic, a query that was not measured, or no profile.

    >>> import keepmap, torch
    >>> profile = keepmap.profile_attention(keepmap.load_language_model("tiny"), torch.arange(12))
    >>> ax = keepmap.draw.attention_grid(profile, what="sink_mass")
    >>> ax.get_title(loc="left").splitlines()
    ['Mass in the first 4 positions ·', 'tiny']
    """
    check_kind("profile", profile, AttentionProfile, "an AttentionProfile")
    if as_string("what", what) not in STATISTICS:
        raise InputError(f'what="{what}" is not a statistic of a profile: {did_you_mean(what, STATISTICS)}')
    name, unit, read = STATISTICS[what]
    name = name.format(n_sink=profile.n_sink, window=profile.window)
    values, measured = _values(profile, read(profile), query)
    if title is not None:
        measured = [name, *measured]
    wording = Wording(f"{name[0].upper()}{name[1:]} · {model_label(profile.info.get('model'))}", title, legend, caption)
    layers, heads = values.shape
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        _draw(ax, profile, values, _heading(values, measured, wording, width_in_points(ax)))
        _colour_bar(colour_bar_axes(ax), values, f"{name} ({unit})")
        fit_into_figure([ax])
        return ax
    side = 0.42 if max(layers, heads) <= NUMBERS else max(0.1, min(0.3, 8.0 / max(layers, heads)))
    width, height = max(side * heads, 2.5), max(side * layers, 0.8)
    with figure_style():
        heading = _heading(values, measured, wording, (width + COLOUR_BAR) * 72)
        top = heading.height + 0.1
        figure = blank_figure(0.7 + width + COLOUR_BAR, top + height + 0.55, heading.label)
        ax = panel(figure, 0.6, top, width, height)
        _draw(ax, profile, values, heading)
        _colour_bar(panel(figure, 0.6 + width + 0.15, top, 0.12, height), values, unit)
    return ax


def _values(
    profile: AttentionProfile, statistic: Float[Tensor, "L H N"], query: int | None
) -> tuple[Float[np.ndarray, "L H"], list[str]]:
    """The grid's numbers, NaN where there is none, and of which queries they are."""
    measured = profile.measured
    if query is not None:
        if as_integer("query", query, None) not in measured.tolist():
            raise InputError(
                f"query={query} was not measured ({profile.scope}); the last that was is {int(measured[-1])}"
            )
        return statistic[:, :, query].double().numpy(), [f"at query {name_of(profile, query)}"]
    values = statistic[:, :, measured].double()
    counted = (profile.n_visible[:, :, measured] >= 2) & ~values.isnan()
    mean = values.where(counted, 0.0).sum(-1) / counted.sum(-1)  # 0 / 0, where there is none, is NaN
    return mean.numpy(), ["mean over queries that see two positions or more", f"measured: {profile.scope}"]


def _heading(values: Float[np.ndarray, "L H"], measured: list[str], wording: Wording, width: float) -> Heading:
    layers, heads = values.shape
    statistics = [f"{layers} layer{'s' * (layers > 1)} x {heads} head{'s' * (heads > 1)}", *measured]
    none = Patch(facecolor=NONE, edgecolor=HATCH, hatch="/////", linewidth=0.5, label="no value")
    return wording.heading(statistics, [none] * bool(np.isnan(values).any()), width)


def _scale(values: Float[np.ndarray, "L H"]) -> ScalarMappable:
    """viridis from 0 to the largest value; to the largest of the other layers where a layer stands alone."""
    top, _ = robust_top(values)
    return ScalarMappable(Normalize(0.0, top), matplotlib.colormaps["viridis"])


def _draw(ax: Axes, profile: AttentionProfile, values: Float[np.ndarray, "L H"], heading: Heading) -> None:
    layers, heads = values.shape
    picture = _scale(values).to_rgba(np.nan_to_num(values), bytes=True)
    picture[np.isnan(values), 3] = 0

    def paint(width: int, height: int) -> UInt8[np.ndarray, "L H 4"]:
        return picture

    ax.patch.set(facecolor=NONE, edgecolor=HATCH, hatch="/////", linewidth=0.0)
    Raster(ax, paint, extent=(-0.5, heads - 0.5, layers - 0.5, -0.5))
    ax.set(xlim=(-0.5, heads - 0.5), ylim=(layers - 0.5, -0.5))
    for axis, names, label in ((ax.xaxis, profile.heads, "head"), (ax.yaxis, profile.layers, "layer")):
        every = -(-len(names) // NUMBERS)
        axis.set_ticks(range(0, len(names), every), [str(name) for name in names[::every]])
        axis.set_ticks([], minor=True)
        axis.set_label_text(label, fontsize=9)
    ax.tick_params(length=0, labelsize=8)
    if max(layers, heads) <= NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                light = np.dot(picture[row, column, :3], (0.299, 0.587, 0.114)) > 128
                colour = "0.0" if light else "1.0"
                ax.text(column, row, _short(float(value)), ha="center", va="center", fontsize=7, color=colour)
    heading.draw(ax)


def _short(value: float) -> str:
    """At most three significant digits, in at most five letters: 0.216, 0.012, 0.008, 1e-04; whole from 1,000 on."""
    if 999.5 <= value < 99_999.5:
        return f"{value:.0f}"
    forms = (f"{value:.{digits}g}" for digits in (3, 2, 1))
    return next((form for form in forms if len(form) <= LETTERS), f"{value:.0e}")


def _colour_bar(ax: Axes, values: Float[np.ndarray, "L H"], label: str) -> None:
    beyond = robust_top(values)[1]
    bar = ax.figure.colorbar(_scale(values), cax=ax, extend="max" if beyond else "neither")
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7.5, length=2)
    bar.outline.set_linewidth(0.5)
