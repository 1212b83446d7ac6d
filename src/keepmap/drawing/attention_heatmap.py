"""The attention of all queries to all positions, a panel for each head.

C cells each way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import matplotlib
import numpy as np
import torch
from jaxtyping import Bool, Float, Integer, UInt8
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, PowerNorm
from matplotlib.patches import Patch

from keepmap.attention.layer import AttentionLayer
from keepmap.attention.profile import AttentionProfile
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.caption import model_label
from keepmap.drawing.parts.fitting import COLOUR_BAR, colour_bar_axes, fit_into_figure
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.marks import Marks, layer_index, positions_of
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.raster import Raster, pixels
from keepmap.drawing.parts.style import DPI, figure_style
from keepmap.errors import InputError, did_you_mean

__all__ = ["attention_heatmap", "check_colours"]

PANEL_PX, MANY_PX, TOKENS_PX = 450, 256, 820
"""The side of a panel, of one among many, and of one whose every row has a label, before it fits whole cells."""

LARGEST_PX = 4096
MANY = 16
WIDEST, MANY_WIDEST = 10.5, 16.0
"""Inches of panels side by side."""

HIDDEN, HATCH = "0.90", "0.72"


@dataclass(frozen=True, eq=False)
class _Head:
    """What one panel shows: the largest weight of each cell, and which cells no query sees."""

    name: str
    weights: Float[np.ndarray, "C C"]
    hidden: Bool[np.ndarray, "C C"]


def attention_heatmap(
    profile: AttentionProfile,
    ax: AxesLike | None = None,
    *,
    layer: int | None = None,
    heads: int | Iterable[int] | None = None,
    size: int = 512,
    cmap: str = "viridis",
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
) -> Axes | tuple[Axes, ...]:
    """Draw the attention of all queries (rows, the last one at the bottom) to all positions (columns), per head.

    Colours go by the square root of the weight, so that small weights are told from none; all panels share them. What a
    query does not see (later positions, positions outside a layer's window) is hatched; what was evicted has weight 0.
    A context of more than `size` positions is gathered into cells, each as bright as its largest weight. Lines stand
    where an agent's episodes start, marks at the edge where a transition was rewarded. Position j covers j - 0.5 to
    j + 0.5.

    Args:
        profile: what `keepmap.profile_attention` gives; a loaded one has no map.
        ax: the Axes to draw into: one for each head, or one for all (their mean; of cells, the mean of the heads'
            largest weights). By default a new Figure's, in the project's style whatever the user's rcParams are.
        layer, heads: the model's indices; the last layer and all heads of the profile by default.
        size: the most cells each way.
        cmap: any name that matplotlib knows; "Reds" is the guide's.
        title: the first line above the figure; by default the layer and the model, "" for none.
        legend: whether there is a legend.
        caption: whether the number of positions, and what a cell is, are written under the title; a string stands there
            instead.

    Returns:
        The Axes drawn into, several as a tuple. Nothing is shown, saved or closed.

    Raises:
        InputError: a layer, head or colour map that is not there, a size below 1, another number of Axes than of
            heads, a profile without queries and keys (a loaded one), or no profile.

    Differs from the guide: one colour scale for all heads, which says what it is; hidden is not 0; long contexts.

    >>> import keepmap, torch
    >>> profile = keepmap.profile_attention(keepmap.load_language_model("tiny"), torch.arange(12))
    >>> panels = keepmap.draw.attention_heatmap(profile, layer=0, heads=[0, 2])
    >>> panels[0].get_title(loc="left")
    'Attention in layer 0 · tiny'
    """
    check_kind("profile", profile, AttentionProfile, "an AttentionProfile")
    at = layer_index(profile, layer)
    chosen = [heads] if isinstance(heads, int) else list(profile.heads if heads is None else heads)
    if not chosen:
        raise InputError("`heads` is empty; name one or more, or leave it out for all")
    colours = _colours(cmap)
    into = None if ax is None else given_axes(ax, 1, len(chosen), what=" (one for each head, or one for their mean)")
    drawn = [_head(profile, at, head, size) for head in chosen]
    if into is not None and len(into) < len(drawn):
        drawn = [_mean(drawn)]
    name = f": {drawn[0].name}" * (len(drawn) < len(chosen))
    default = f"Attention in layer {profile.layers[at]}{name} · {model_label(profile.info.get('model'))}"
    wording = Wording(default, title, legend, caption)
    if into is None:
        with figure_style():
            axes = _figure(profile, drawn, colours, size, wording)
    else:
        axes = into
        _into(profile, axes, drawn, colours, size, wording)
    return axes if len(axes) > 1 else axes[0]


def check_colours(name: str) -> None:
    """Check that matplotlib has a colour map of this name.

    Raises:
        InputError: it has none.

    >>> check_colours("viridis")
    >>> check_colours("viridsi")
    Traceback (most recent call last):
        ...
    keepmap.errors.InputError: cmap="viridsi" is not a colour map of matplotlib: did you mean "viridis"?
    """
    _colours(name)


def _colours(name: str) -> Colormap:
    if name not in matplotlib.colormaps:
        known = did_you_mean(name, matplotlib.colormaps)
        hint = (
            known if known.startswith("did") else "use a name that matplotlib knows, such as viridis, cividis or Reds"
        )
        raise InputError(f'cmap="{name}" is not a colour map of matplotlib: {hint}')
    return matplotlib.colormaps[name]


def _head(profile: AttentionProfile, at: int, head: int, size: int) -> _Head:
    weights = profile.map(profile.layers[at], head, size)
    assert profile.captured is not None
    hidden = _hidden(profile.captured[at], profile.heads.index(head), weights.edges)
    return _Head(f"head {head}", weights.maximum.astype(np.float64), hidden)


def _mean(heads: Sequence[_Head]) -> _Head:
    weights = np.mean([head.weights for head in heads], axis=0)
    return _Head(f"mean over {len(heads)} heads", weights, np.logical_and.reduce([head.hidden for head in heads]))


def _hidden(layer: AttentionLayer, head: int, edges: Integer[np.ndarray, " C_1"]) -> Bool[np.ndarray, "C C"]:
    """Cells of which no query sees any position, in the model as it is without eviction."""
    cells, n = len(edges) - 1, layer.n
    seen = np.zeros((cells, cells), dtype=bool)
    if layer.bias is not None:  # a mask of its own, [N, N], which somebody held already
        whole, group = replace(layer, expires=None), layer.group
        columns = torch.arange(n, device=layer.keys.device)
        for row, (start, stop) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
            visible = whole.visible(head // group, columns[start:stop], columns).cpu().numpy()
            any_row = visible[head % group if len(visible) > 1 else 0].any(axis=0)
            seen[row] = np.logical_or.reduceat(any_row, edges[:-1])
        return ~seen
    starts, ends = (side.numpy() for side in layer.intervals)
    some = ends > starts
    rows = np.searchsorted(edges, np.arange(n)[some], side="right") - 1
    change = np.zeros((cells, cells + 1), dtype=np.int64)
    np.add.at(change, (rows, np.searchsorted(edges, starts[some], side="right") - 1), 1)
    np.add.at(change, (rows, np.searchsorted(edges, ends[some] - 1, side="right")), -1)
    return change[:, :-1].cumsum(axis=1) == 0


def _fewer(ufunc: np.ufunc, values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The values in at most rows x columns cells, each of which is what `ufunc` makes of those in it."""
    for axis, most in enumerate((rows, columns)):
        cells = values.shape[axis]
        if cells > most:
            values = ufunc.reduceat(values, np.arange(most) * cells // most, axis=axis)
    return values


def _figure(
    profile: AttentionProfile, heads: Sequence[_Head], colours: Colormap, size: int, wording: Wording
) -> tuple[Axes, ...]:
    n, cells = profile.shape[2], len(heads[0].weights)
    named = positions_of(profile, most=5)
    many = len(heads) > MANY
    panel_px = TOKENS_PX if named.tokens and n > 16 else MANY_PX if many else PANEL_PX
    side = min(max(1, round(panel_px / cells)) * cells, LARGEST_PX) / DPI
    gap, above = 0.16, 0.24
    rows = -(-len(heads) // max(1, int(((MANY_WIDEST if many else WIDEST) + gap) / (side + gap))))
    columns = -(-len(heads) // rows)
    letters = max(map(len, named.texts))
    left = 0.45 + 0.07 * letters
    below = 0.35 + (0.07 * letters if named.tokens else 0.15)
    across, down = columns * (side + gap) - gap, rows * (side + above) - above
    points = side * 72
    marks = Marks.of(profile, points, _line(colours))
    heading = _heading(profile, marks, wording, min(size, n, pixels(side * DPI)), max(across, 4.0) * 72)
    top = heading.height + 0.12
    figure = blank_figure(left + max(across, 4.0) + 0.85, top + down + below, heading.label)
    letter = min(8.0, 0.85 * points / n) if named.tokens else 7.5
    scale = _scale(heads, colours)
    axes = []
    for number, head in enumerate(heads):
        row, column = divmod(number, columns)
        ax = panel(figure, left + column * (side + gap), top + row * (side + above), side, side)
        _draw(ax, head, scale, marks, n)
        named.across(ax, named=number + columns >= len(heads), size=letter)
        named.down(ax, named=column == 0, size=letter)
        axes.append(ax)
    heading.draw(axes[0])
    bar = panel(figure, left + across + 0.16, top, 0.12, min(down, 3.0))
    _colour_bar(bar, scale)
    return tuple(axes)


def _into(
    profile: AttentionProfile,
    axes: Sequence[Axes],
    heads: Sequence[_Head],
    colours: Colormap,
    size: int,
    wording: Wording,
) -> None:
    """Draw into the Axes of somebody else, made smaller for what stands above and for a colour bar on the right."""
    n, width = profile.shape[2], width_in_points(axes[0])
    points = max(width - COLOUR_BAR * 72, width / 2)
    named = positions_of(profile, most=max(2, int(points / 45)), tokens=points > 7 * n)
    marks = Marks.of(profile, points, _line(colours))
    letter = min(8.0, 0.85 * points / n) if named.tokens else 8.0
    scale = _scale(heads, colours)
    for ax, head in zip(axes, heads, strict=True):
        _draw(ax, head, scale, marks, n)
        named.across(ax, size=letter)
        named.down(ax, size=letter)
    cells = min(size, n, pixels(axes[0].bbox.width))
    _heading(profile, marks, wording, cells, width_in_points(*axes)).draw(axes[0])
    _colour_bar(colour_bar_axes(axes[-1]), scale)
    fit_into_figure(axes)


def _heading(profile: AttentionProfile, marks: Marks, wording: Wording, cells: int, width: float) -> Heading:
    n = profile.shape[2]
    statistics = [f"{n} positions"]
    if cells < n:
        statistics.append(f"cells of {n / cells:.3g} x {n / cells:.3g} pairs, each as bright as its largest weight")
    if "evicted_by" in profile.info:
        statistics.append(f"under eviction by {profile.info['evicted_by']}: what was evicted has weight 0")
    hidden = Patch(facecolor=HIDDEN, edgecolor=HATCH, hatch="/////", linewidth=0.5, label="not seen by the query")
    legend: list[Artist] = [hidden, *marks.legend]
    return wording.heading(statistics, legend, width, lift=20.0)


def _line(colours: Colormap) -> str:
    """A colour of lines that stands out from weight 0."""
    return "0.75" if np.dot(colours(0)[:3], (0.299, 0.587, 0.114)) < 0.5 else "0.45"


def _scale(heads: Sequence[_Head], colours: Colormap) -> ScalarMappable:
    """One scale for all panels: from 0 to the largest weight, by the square root."""
    top = max(float(head.weights.max()) for head in heads)
    return ScalarMappable(PowerNorm(0.5, 0.0, top or 1.0), colours)


def _draw(ax: Axes, head: _Head, scale: ScalarMappable, marks: Marks, n: int) -> None:
    table = np.round(scale.get_cmap()(np.linspace(0.0, 1.0, 256)) * 255).astype(np.uint8)

    def paint(width: int, height: int) -> UInt8[np.ndarray, "h w 4"]:
        weights = _fewer(np.maximum, head.weights, height, width)
        picture = table[np.round(np.asarray(scale.norm(weights)) * 255).astype(np.int64)]
        picture[_fewer(np.logical_and, head.hidden, height, width), 3] = 0
        return picture

    ax.patch.set(facecolor=HIDDEN, edgecolor=HATCH, hatch="/////", linewidth=0.0)
    Raster(ax, paint, extent=(-0.5, n - 0.5, n - 0.5, -0.5))
    marks.across(ax)
    marks.down(ax)
    ax.annotate(head.name, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=9)


def _colour_bar(ax: Axes, scale: ScalarMappable) -> None:
    bar = ax.figure.colorbar(scale, cax=ax)
    bar.set_label("attention weight (by its square root)", fontsize=8)
    bar.ax.tick_params(labelsize=7.5, length=2)
    bar.outline.set_linewidth(0.5)
