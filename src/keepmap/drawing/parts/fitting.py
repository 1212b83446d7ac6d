"""Room for what stands around somebody else's Axes: titles above, tick labels beside, a colour bar on the right."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

__all__ = ["COLOUR_BAR", "colour_bar_axes", "fit_into_figure"]

COLOUR_BAR = 0.8
"""About how many inches a colour bar with its labels takes."""

_GAP, _BAR = 0.12, 0.1
_MARGIN = 0.04
_SMALLEST = 0.3
"""Axes keep this share of their width and height, whatever stands around them."""


def colour_bar_axes(ax: Axes) -> Axes:
    """Axes for a colour bar, on the right of `ax`, for `fit_into_figure` to make room for."""
    width = float(ax.bbox.width / ax.figure.dpi)
    return ax.inset_axes((1 + _GAP / width, 0.0, _BAR / width, 1.0))


def fit_into_figure(axes: Sequence[Axes]) -> None:
    """Make given Axes smaller, all alike, until what was drawn around them lies on the figure.

    A colour bar stays within the width that the Axes had, so that it covers no neighbour. Words that are wider than
    the figure stay as they are. A figure with a layout engine makes the room itself.
    """
    figure = axes[0].figure
    if figure.get_layout_engine() is not None:
        return
    canvas, margin = figure.bbox, _MARGIN * figure.dpi
    beyond = []
    for ax in axes:
        around = ax.get_tightbbox()
        assert around is not None
        bars = [box.x1 for child in ax.child_axes if (box := child.get_tightbbox()) is not None]
        right = max(bars, default=ax.bbox.x1) - min(ax.bbox.x1, canvas.x1 - margin)
        low = (canvas.x0 + margin - around.x0, canvas.y0 + margin - around.y0)
        beyond.append((*low, right, around.y1 - canvas.y1 + margin))
    lost = np.maximum(beyond, 0.0)
    less = (lost[:, :2] + lost[:, 2:]).max(axis=0)
    for ax, (left, below, _, _) in zip(axes, lost, strict=True):
        width, height = np.maximum([ax.bbox.width, ax.bbox.height] - less, np.array(ax.bbox.size) * _SMALLEST)
        box = Bbox.from_bounds(ax.bbox.x0 + left, ax.bbox.y0 + below, width, height)
        ax.set_position(box.transformed(figure.transSubfigure.inverted()))
        ax.set_in_layout(True)  # set_position takes it out, and tight bounding boxes would cut what stands around
