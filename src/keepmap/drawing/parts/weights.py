"""Panels of attention weights: one head's queries against positions, gathered into cells that can be seen.

C cells each way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, PowerNorm

from keepmap.core.arguments import as_string
from keepmap.drawing.parts.marks import Marks
from keepmap.drawing.parts.raster import Raster
from keepmap.errors import InputError, did_you_mean

__all__ = [
    "HATCH",
    "HIDDEN",
    "HeadWeights",
    "cells_in",
    "colour_map",
    "draw_weights",
    "line_colour",
    "mean_weights",
    "weight_bar",
    "weight_scale",
]

CELL_PX = 3
"""The least width of a cell."""

HIDDEN, HATCH = "0.90", "0.72"


@dataclass(frozen=True, eq=False)
class HeadWeights:
    """What one panel shows.

    Attributes:
        name: the head's. weights: of an AttentionMap, the largest of each cell. hidden: cells that no query sees.
    """

    name: str
    weights: Float[np.ndarray, "C C"]
    hidden: Bool[np.ndarray, "C C"]


def colour_map(name: str) -> Colormap:
    """matplotlib's colour map of this name.

    Raises:
        InputError: it has none.
    """
    if as_string("cmap", name) not in matplotlib.colormaps:
        known = did_you_mean(name, matplotlib.colormaps)
        hint = (
            known if known.startswith("did") else "use a name that matplotlib knows, such as viridis, cividis or Reds"
        )
        raise InputError(f'cmap="{name}" is not a colour map of matplotlib: {hint}')
    return matplotlib.colormaps[name]


def mean_weights(heads: Sequence[HeadWeights]) -> HeadWeights:
    """The mean over heads of their cells' largest weights."""
    weights = np.mean([head.weights for head in heads], axis=0)
    return HeadWeights(f"mean over {len(heads)} heads", weights, np.logical_and.reduce([head.hidden for head in heads]))


def _fewer(ufunc: np.ufunc, values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The values in at most rows x columns cells, each of which is what `ufunc` makes of those in it."""
    for axis, most in enumerate((rows, columns)):
        cells = values.shape[axis]
        if cells > most:
            values = ufunc.reduceat(values, np.arange(most) * cells // most, axis=axis)
    return values


def cells_in(length: int) -> int:
    """How many cells have room on so many pixels, one at least."""
    return max(1, length // CELL_PX)


def line_colour(colours: Colormap) -> str:
    """A colour of lines that stands out from weight 0."""
    return "0.75" if np.dot(colours(0)[:3], (0.299, 0.587, 0.114)) < 0.5 else "0.45"


def weight_scale(heads: Sequence[HeadWeights], colours: Colormap) -> ScalarMappable:
    """One scale for all panels: from 0 to the largest weight, by the square root."""
    top = max(float(head.weights.max()) for head in heads)
    return ScalarMappable(PowerNorm(0.5, 0.0, top or 1.0, clip=True), colours)


def draw_weights(
    ax: Axes, head: HeadWeights, scale: ScalarMappable, marks: Marks, n: int, *, named: bool = True, hatch: bool = True
) -> None:
    """Draw one panel of n positions; a cell has three pixels or more each way, so that a lone bright one is seen.

    Args:
        named: whether the head's name stands above it. hatch: whether what is not seen is hatched, or only grey.
    """
    table = np.round(scale.get_cmap()(np.linspace(0.0, 1.0, 256)) * 255).astype(np.uint8)

    def paint(width: int, height: int) -> UInt8[np.ndarray, "h w 4"]:
        rows, columns = cells_in(height), cells_in(width)
        weights = _fewer(np.maximum, head.weights, rows, columns)
        picture = table[np.round(np.asarray(scale.norm(weights)) * 255).astype(np.int64)]
        picture[_fewer(np.logical_and, head.hidden, rows, columns), 3] = 0
        return picture

    ax.patch.set(facecolor=HIDDEN, edgecolor=HATCH, hatch="/////" if hatch else None, linewidth=0.0)
    Raster(ax, paint, extent=(-0.5, n - 0.5, n - 0.5, -0.5))
    marks.across(ax)
    marks.down(ax)
    if named:
        ax.annotate(head.name, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=9)


def weight_bar(ax: Axes, scale: ScalarMappable) -> None:
    """The colour bar of a scale of weights."""
    bar = ax.figure.colorbar(scale, cax=ax)
    bar.set_label("attention weight (by its square root)", fontsize=8)
    bar.ax.tick_params(labelsize=7.5, length=2)
    bar.outline.set_linewidth(0.5)
