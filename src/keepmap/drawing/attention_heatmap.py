"""The attention of all queries to all positions, a panel for each head.

C cells each way.
"""

from collections.abc import Iterable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.patches import Patch

from keepmap.attention import AttentionProfile
from keepmap.core.arguments import as_integers
from keepmap.core.labels import model_label
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.fitting import COLOUR_BAR, colour_bar_axes, fit_into_figure
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.marks import Marks, layer_index, positions_of
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.raster import pixels
from keepmap.drawing.parts.style import DPI, figure_style
from keepmap.drawing.parts.weights import (
    HATCH,
    HIDDEN,
    HeadWeights,
    cells_in,
    colour_map,
    draw_weights,
    line_colour,
    mean_weights,
    weight_bar,
    weight_scale,
)
from keepmap.errors import InputError

__all__ = ["attention_heatmap", "check_colours"]

PANEL_PX, MANY_PX, TOKENS_PX = 450, 256, 820
"""The side of a panel, of one among many, and of one whose every row has a label, before it fits whole cells."""

LARGEST_PX = 4096
MANY = 16
WIDEST, MANY_WIDEST = 10.5, 16.0
"""Inches of panels side by side."""


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
    A context of more positions than `size`, or than a third of a panel's pixels, is gathered into cells, each as bright
    as its largest weight. Lines stand
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
    chosen = list(profile.heads) if heads is None else as_integers("heads", heads)
    if not chosen:
        raise InputError("`heads` is empty; name one or more, or leave it out for all")
    colours = colour_map(cmap)
    into = None if ax is None else given_axes(ax, 1, len(chosen), what=" (one for each head, or one for their mean)")
    maps = [profile.map(profile.layers[at], head, size) for head in chosen]
    drawn = [HeadWeights(f"head {head}", of.maximum, of.hidden) for head, of in zip(chosen, maps, strict=True)]
    if into is not None and len(into) < len(drawn):
        drawn = [mean_weights(drawn)]
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
    colour_map(name)


def _figure(
    profile: AttentionProfile, heads: Sequence[HeadWeights], colours: Colormap, size: int, wording: Wording
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
    marks = Marks.of(profile, points, line_colour(colours))
    heading = _heading(profile, marks, wording, min(size, n, cells_in(pixels(side * DPI))), max(across, 4.0) * 72)
    top = heading.height + 0.12
    figure = blank_figure(left + max(across, 4.0) + 0.85, top + down + below, heading.label)
    letter = min(8.0, 0.85 * points / n) if named.tokens else 7.5
    scale = weight_scale(heads, colours)
    axes = []
    for number, head in enumerate(heads):
        row, column = divmod(number, columns)
        ax = panel(figure, left + column * (side + gap), top + row * (side + above), side, side)
        draw_weights(ax, head, scale, marks, n)
        named.across(ax, named=number + columns >= len(heads), size=letter)
        named.down(ax, named=column == 0, size=letter)
        axes.append(ax)
    heading.draw(axes[0])
    bar = panel(figure, left + across + 0.16, top, 0.12, min(down, 3.0))
    weight_bar(bar, scale)
    return tuple(axes)


def _into(
    profile: AttentionProfile,
    axes: Sequence[Axes],
    heads: Sequence[HeadWeights],
    colours: Colormap,
    size: int,
    wording: Wording,
) -> None:
    """Draw into the Axes of somebody else, made smaller for what stands above and for a colour bar on the right."""
    n, width = profile.shape[2], width_in_points(axes[0])
    points = max(width - COLOUR_BAR * 72, width / 2)
    named = positions_of(profile, most=max(2, int(points / 45)), tokens=points > 7 * n)
    marks = Marks.of(profile, points, line_colour(colours))
    letter = min(8.0, 0.85 * points / n) if named.tokens else 8.0
    scale = weight_scale(heads, colours)
    for ax, head in zip(axes, heads, strict=True):
        draw_weights(ax, head, scale, marks, n)
        named.across(ax, size=letter)
        named.down(ax, size=letter)
    cells = min(size, n, cells_in(pixels(axes[0].bbox.width)))
    _heading(profile, marks, wording, cells, width_in_points(*axes)).draw(axes[0])
    weight_bar(colour_bar_axes(axes[-1]), scale)
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
