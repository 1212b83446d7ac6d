"""What the query attends to, and what each position receives on average, as lines over the context.

H heads · N positions · P points.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from torch import Tensor

from keepmap.attention import AttentionProfile
from keepmap.core.labels import model_label
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.fitting import fit_into_figure
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.marks import Marks, layer_index, name_of, positions_of
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import curve_style, figure_style

__all__ = ["attention_lines"]

POINTS = 2000
"""Of a line; of more, the smallest and the largest of every so many positions are drawn."""

LONG = 256
"""Positions from which the axis of weights goes by their square root: few then have much more than the others."""

MARGIN = 0.015
"""The share of the axis that is left free on either side of the positions."""

NAMED_HEADS = 8
RASTER = 4000
"""Points of all heads' lines from which these are a picture inside SVG and PDF."""

UNIFORM: dict[str, Any] = {"color": "0.35", "linewidth": 1.0, "linestyle": (0, (1, 1.5))}
MEAN: dict[str, Any] = {"color": "0.0", "linewidth": 1.8}


@dataclass(frozen=True, eq=False)
class _Panel:
    """One panel's lines: a row per head, and what uniform attention would give, None where that is not known."""

    title: str
    values: Float[np.ndarray, "H N"]
    uniform: Float[np.ndarray, " N"] | None


def attention_lines(
    profile: AttentionProfile,
    ax: AxesLike | None = None,
    *,
    layer: int | None = None,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
) -> Axes | tuple[Axes, ...]:
    """Draw the attention of the query to each position, and beside it the average attention each position receives.

    The mean over heads is bold, heads are thin; a dotted line is what uniform attention would give. The query is the
    last row that the profile keeps. Averages are over the measured queries that could see the position, so that early
    positions don't look important for being early. With more than 256 positions, weights go by their square root. Of
    more than 2,000, the smallest and the largest value of every so many are drawn: no peak is lost. Lines stand where
    episodes start, marks at the edge where a transition was rewarded.

    Args:
        profile: what `keepmap.profile_attention` gives.
        ax: the Axes to draw into: a pair, or one for the query alone. By default a new Figure's, in the project's style
            whatever the user's rcParams are.
        layer: the model's index; the last layer of the profile by default.
        title: the first line above the figure; by default the layer and the model, "" for none.
        legend: whether there is a legend.
        caption: whether the queries that were measured are named under the title; a string stands there instead.

    Returns:
        The Axes drawn into, several as a tuple. Nothing is shown, saved or closed.

    Raises:
        InputError: a layer that was not profiled, not one or two Axes, or no profile.

    Differs from the guide: averages are over the queries that could see a position, not over all.

    >>> import keepmap, torch
    >>> profile = keepmap.profile_attention(keepmap.load_language_model("tiny"), torch.arange(12))
    >>> query, received = keepmap.draw.attention_lines(profile, caption=False)
    >>> query.get_xlabel(), received.get_ylabel()
    ('position: token', 'attention weight')
    """
    check_kind("profile", profile, AttentionProfile, "an AttentionProfile")
    at = layer_index(profile, layer)
    panels = (_of_query(profile, at), _of_positions(profile, at))
    default = f"Attention in layer {profile.layers[at]} · {model_label(profile.info.get('model'))}"
    wording = Wording(default, title, legend, caption)
    if ax is not None:
        axes = given_axes(ax, 1, 2)
        points = width_in_points(axes[0])
        marks = Marks.of(profile, points, "0.8")
        for panel_ax, shown in zip(axes, panels, strict=False):
            _draw(panel_ax, profile, shown, marks, most=max(2, int(points / 45)))
        _heading(profile, marks, wording, width_in_points(*axes), averaged=len(axes) > 1).draw(axes[0])
        fit_into_figure(axes)
        return axes if len(axes) > 1 else axes[0]
    width, height, gap = 4.6, 2.6, 0.75
    with figure_style():
        marks = Marks.of(profile, width * 72, "0.8")
        heading = _heading(profile, marks, wording, (2 * width + gap) * 72)
        named = positions_of(profile, most=7)
        top = heading.height + 0.1
        below = 0.35 + 0.07 * max(map(len, named.texts)) if named.tokens else 0.5
        figure = blank_figure(2 * width + gap + 0.95, top + height + below, heading.label)
        axes = tuple(panel(figure, 0.75 + number * (width + gap), top, width, height) for number in range(2))
        for panel_ax, shown in zip(axes, panels, strict=True):
            _draw(panel_ax, profile, shown, marks, most=7)
        heading.draw(axes[0])
    return axes


def _of_query(profile: AttentionProfile, at: int) -> _Panel:
    n, query = profile.shape[2], int(profile.queries[-1])
    seen = _array(profile.n_visible[at, :, query])
    uniform = np.full(n, float(np.mean(1 / np.maximum(seen, 1))))
    return _Panel("Query token attention distribution", _array(profile.rows[at, :, -1]), uniform)


def _of_positions(profile: AttentionProfile, at: int) -> _Panel:
    return _Panel("Average attention to each position", _array(profile.received[at]), _uniform(profile, at))


def _uniform(profile: AttentionProfile, at: int) -> Float[np.ndarray, " N"] | None:
    """What positions would receive if every measured query attended uniformly to what it sees.

    Known where each query sees all, or an interval that ends at itself; not under eviction or a mask of its own.
    """
    n = profile.shape[2]
    queries = profile.measured.numpy()
    count = profile.n_visible[at, :, profile.measured].numpy()
    if "evicted_by" in profile.info or (count != count[0]).any():
        return None
    if (count == n).all():
        return np.full(n, 1 / n)
    if (count[0] != np.minimum(queries + 1, count[0].max())).any():
        return None
    total, seen = np.zeros(n + 1), np.zeros(n + 1)
    for change, where in ((1.0, queries + 1 - count[0]), (-1.0, queries + 1)):
        np.add.at(total, where, change / count[0])
        np.add.at(seen, where, change)
    total, seen = total.cumsum()[:-1], seen.cumsum()[:-1]
    return np.divide(total, seen, out=np.full(n, np.nan), where=seen > 0.5)


def _array(values: Tensor) -> Float[np.ndarray, "..."]:
    return values.detach().cpu().double().numpy()


def _heading(profile: AttentionProfile, marks: Marks, wording: Wording, width: float, averaged: bool = True) -> Heading:
    heads, n = profile.shape[1:]
    query = int(profile.queries[-1])
    statistics = [f"{n} positions", f"query {name_of(profile, query)}"]
    if averaged:
        statistics.append(f"average over {profile.scope}: of each position, over those that could see it")
    if n > POINTS:
        statistics.append(f"smallest and largest of every {n / (POINTS // 2):.3g} positions")
    legend: list[Artist] = [Line2D([], [], label=f"mean over {heads} heads" if heads > 1 else "head", **MEAN)]
    if 1 < heads <= NAMED_HEADS:
        legend += [Line2D([], [], label=f"head {head}", **_thin(at)) for at, head in enumerate(profile.heads)]
    elif heads > 1:
        legend.append(Line2D([], [], color="0.6", linewidth=0.6, label="heads"))
    legend.append(Line2D([], [], label="uniform attention", **UNIFORM))
    return wording.heading(statistics, [*legend, *marks.legend], width, lift=20.0)


def _thin(number: int) -> dict[str, Any]:
    """A head's line: colours and dashes of the curves, without their black, which is the mean's."""
    return {**curve_style(number + (number + 4) // 6), "linewidth": 0.7}


def _draw(ax: Axes, profile: AttentionProfile, shown: _Panel, marks: Marks, most: int) -> None:
    heads = len(shown.values)
    bold = MEAN if shown.values.shape[1] <= POINTS else {**MEAN, "linewidth": 1.2}
    raster = heads * min(POINTS, shown.values.shape[1]) > RASTER
    if heads > 1:
        for number, row in enumerate(shown.values):
            style = _thin(number) if heads <= NAMED_HEADS else {"color": "0.6", "linewidth": 0.4, "alpha": 0.6}
            ax.plot(*_points(row), rasterized=raster, **style)
    ax.plot(*_points(shown.values.mean(axis=0)), **bold)
    if shown.uniform is not None:
        ax.plot(*_points(shown.uniform), **UNIFORM)
    positions_of(profile, most).across(ax)
    n = profile.shape[2]
    beside = max(0.5, MARGIN * n)  # a peak at the first position would lie under the axis
    ax.set_xlim(-beside, n - 1 + beside)
    highest = np.nanmax(shown.values, initial=0.0)
    long = n > LONG
    if long:
        ax.set_yscale("function", functions=(_square_root, np.square))
    ax.set_ylim(0, 1.05 * (float(highest) or 1.0))
    ax.set_ylabel("attention weight (by its square root)" if long else "attention weight", fontsize=9)
    ax.tick_params(axis="y", length=2, labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    marks.across(ax)
    ax.annotate(
        shown.title,
        (0, 1),
        (0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9.5,
        fontstyle="italic",
    )


def _square_root(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.sqrt(np.maximum(values, 0.0))


def _points(values: Float[np.ndarray, " N"]) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """x and y of a line: every position, or the smallest and the largest of every so many."""
    n = len(values)
    if n <= POINTS:
        return np.arange(n, dtype=np.float64), values
    edges = np.arange(POINTS // 2 + 1) * n // (POINTS // 2)
    ends = [ufunc.reduceat(values, edges[:-1]) for ufunc in (np.fmin, np.fmax)]
    return np.repeat((edges[:-1] + edges[1:] - 1) / 2, 2), np.stack(ends, axis=1).ravel()
