"""The attention of many layers on one page: a row of panels per layer, a panel per head."""

from collections.abc import Iterable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from keepmap.attention import AttentionProfile
from keepmap.core.labels import model_label
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.marks import Marks, layer_index
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.raster import pixels
from keepmap.drawing.parts.style import DPI, figure_style
from keepmap.drawing.parts.weights import (
    HIDDEN,
    HeadWeights,
    cells_in,
    colour_map,
    draw_weights,
    line_colour,
    weight_bar,
    weight_scale,
)
from keepmap.errors import InputError

__all__ = ["attention_pages"]

WIDEST, SIDE, SMALLEST = 10.0, 0.96, 0.3
"""Inches of all panels side by side, and of a panel at most and at least."""

GAP = 0.06

BAR_WORDS = 2.4
"""Inches that the words along the colour bar take."""

WORDY = 32.0
"""Points of a panel beside which "layer 29" and "head 29" have room; by smaller ones stand their numbers alone."""


def attention_pages(
    profile: AttentionProfile,
    ax: AxesLike | None = None,
    *,
    layers: Iterable[int] | None = None,
    cmap: str = "viridis",
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
) -> tuple[Axes, ...]:
    """Draw the attention of all queries (down) to all positions (across), a row per layer and a panel per head.

    As `attention_heatmap` draws it, and smaller: colours go by the square root of the weight, all panels share them,
    and positions are gathered into cells of three pixels or more, each as bright as its largest weight.

    Args:
        profile: what `keepmap.profile_attention` gives; a loaded one has no map.
        ax: the Axes to draw into, one for each layer and head, layer by layer. By default a new Figure's, in the
            project's style whatever the user's rcParams are.
        layers: the model's indices; all layers of the profile by default.
        cmap: any name that matplotlib knows.
        title: the first line above the figure; by default the model, "" for none.
        legend: whether there is a legend.
        caption: whether the number of positions, what lies across and down, and what a cell is, are written under the
            title; a string stands there instead.

    Returns:
        The Axes drawn into, layer by layer. Nothing is shown, saved or closed.

    Raises:
        InputError: a layer or colour map that is not there, another number of Axes, a profile without queries and keys
            (a loaded one), or no profile.

    Differs from the guide: the guide has a file for each layer, which of 30 layers nobody looks through.

    >>> import keepmap, torch
    >>> profile = keepmap.profile_attention(keepmap.load_language_model("tiny"), torch.arange(12))
    >>> panels = keepmap.draw.attention_pages(profile)
    >>> len(panels), panels[4].get_ylabel()
    (8, 'layer 1')
    """
    check_kind("profile", profile, AttentionProfile, "an AttentionProfile")
    chosen = list(profile.layers if layers is None else layers)
    if not chosen:
        raise InputError("`layers` is empty; name one or more, or leave it out for all")
    places = [layer_index(profile, layer) for layer in chosen]
    colours, heads = colour_map(cmap), len(profile.heads)
    n = profile.shape[2]
    into = None if ax is None else given_axes(ax, len(chosen) * heads, what=" (one for each layer and head)")
    side = max(SMALLEST, min(SIDE, (WIDEST + GAP) / heads - GAP))
    cells = min(n, cells_in(pixels(side * DPI) if into is None else pixels(into[0].bbox.width)))
    weights = []
    for at in places:
        for head in profile.heads:
            of_head = profile.map(profile.layers[at], head, cells)
            weights.append(HeadWeights(f"head {head}", of_head.maximum, of_head.hidden))
    scale = weight_scale(weights, colours)
    wording = Wording(f"Attention · {model_label(profile.info.get('model'))}", title, legend, caption)
    if into is not None:
        _draw(profile, into, weights, chosen, line_colour(colours), scale)
        _heading(n, cells, _wordy(into[0]), wording, width_in_points(*into[:heads])).draw(into[0])
        return into
    across, down = (count * (side + GAP) - GAP for count in (heads, len(chosen)))
    with figure_style():
        heading = _heading(n, cells, side * 72 >= WORDY, wording, (across + 0.7) * 72)
        left, top = (_beside(n) + 14.0) / 72, heading.height + 0.1
        bar = max(min(down, 3.0), 0.9)
        below = max(down + 0.5, bar / 2 + BAR_WORDS / 2)
        figure = blank_figure(left + max(across, 3.0) + 0.85, top + below, heading.label)
        axes = tuple(
            panel(figure, left + column * (side + GAP), top + row * (side + GAP), side, side)
            for row in range(len(chosen))
            for column in range(heads)
        )
        _draw(profile, axes, weights, chosen, line_colour(colours), scale)
        heading.draw(axes[0])
        weight_bar(panel(figure, left + across + 0.14, top, 0.12, bar), scale)
    return axes


def _wordy(ax: Axes) -> bool:
    return bool(min(width_in_points(ax), 72 * ax.bbox.height / ax.figure.dpi) >= WORDY)


def _beside(n: int) -> float:
    """Points that the numbers of the first and the last query take on the left of a panel."""
    return 8.0 + 4.5 * len(str(n - 1))


def _heading(n: int, cells: int, wordy: bool, wording: Wording, width: float) -> Heading:
    panels = "queries down, positions across" if wordy else "a row per layer, a column per head"
    statistics = [f"{n} positions", panels]
    if cells < n:
        statistics.append(f"cells of {n / cells:.3g} x {n / cells:.3g} pairs, each as bright as its largest weight")
    legend: list[Artist] = [Patch(facecolor=HIDDEN, linewidth=0.0, label="not seen by the query")]
    return wording.heading(statistics, legend, width, lift=16.0)


def _draw(
    profile: AttentionProfile,
    axes: Sequence[Axes],
    weights: Sequence[HeadWeights],
    layers: Sequence[int],
    line: str,
    scale: ScalarMappable,
) -> None:
    heads, n, wordy = len(profile.heads), profile.shape[2], _wordy(axes[0])
    for number, (ax, head) in enumerate(zip(axes, weights, strict=True)):
        row, column = divmod(number, heads)
        marks = Marks.of(profile, width_in_points(ax), line)
        draw_weights(ax, head, scale, marks, n, named=False, hatch=False)
        ax.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), xticks=[], yticks=[])
        if row == 0:
            name = head.name if wordy else str(profile.heads[column])
            ax.annotate(name, (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", fontsize=8)
        if column == 0:
            ax.set_ylabel(f"layer {layers[row]}" if wordy else str(layers[row]), fontsize=8)
            # In one column, whether numbers stand beside the panel or not.
            aside = ScaledTranslation(-_beside(n) / 72, 0, ax.figure.dpi_scale_trans)
            ax.yaxis.set_label_coords(0, 0.5, transform=ax.transAxes + aside)
        if row == len(layers) - 1 and column == 0:
            ends = ([0, n - 1], ["0", str(n - 1)])
            ax.set_xticks(*ends, fontsize=7)
            ax.set_yticks(*ends, fontsize=7)
            ax.tick_params(length=2, pad=2)
            (left, right), (top, bottom) = ax.get_xticklabels(), ax.get_yticklabels()
            left.set_horizontalalignment("left")
            # Within the panel where two numbers have room under it.
            right.set_horizontalalignment("right" if wordy else "left")
            top.set_verticalalignment("top")
            bottom.set_verticalalignment("bottom")
            ax.set_xlabel("position", fontsize=8, labelpad=1)
