"""The compression heatmap: which of a text's first tokens the cache still holds, and which are protected."""

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.axes import Axes

from keepmap.core.densities import KeptCounts, TokenStatistics, entry_statistics, token_statistics
from keepmap.core.keep_map import KeepMap
from keepmap.drawing.parts.arguments import AxesLike, HasKeepMap, given_axes, keep_map_of
from keepmap.drawing.parts.caption import describe
from keepmap.drawing.parts.cells import gather, paint
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import (
    blank_figure,
    boundaries,
    kept_legend,
    panel,
    position_axis,
    swatch,
    width_in_points,
)
from keepmap.drawing.parts.raster import Raster, pixels
from keepmap.drawing.parts.style import COMPRESSIBLE, DPI, EVICTED, KEPT, PROTECTED, figure_style

__all__ = ["compression_heatmap"]

WIDTH_PX = 2048
"""Two whole pixels for each of 1,024 tokens; texts of more tokens than this are gathered into cells."""


def compression_heatmap(
    keep_map: KeepMap | HasKeepMap,
    *,
    n_tokens: int = 1024,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw the cache as it stood after the first `n_tokens` tokens (or the last one of a shorter text), per token.

    Top panel: kept (green) and evicted (red). Bottom panel: protected (blue) and compressible (white). A blue dashed
    line stands after the sinks, an orange one where the window starts. Token j covers x from j to j + 1. Tokens on
    which layers and heads disagree are counted as `keepmap.core.densities.token_statistics` counts them; the
    share of cache entries that are kept, which may then be another, stands above. Every token has a pixel column or
    more; where there are too many for that, a cell's shade is the share of its tokens that are kept, and a tick at the
    bottom says that there is one.

    Args:
        keep_map: what was kept, or the Eviction that says it.
        n_tokens: tokens shown, counted from the first.
        title: the first line above the figure, "" for none; by default the map's label, its threshold or density, and
            its model.
        legend: whether there is a legend.
        caption: whether the densities are written under the title; a string stands there instead.
        ax: the Axes to draw into: a pair for both panels, or one for the top panel. By default a new Figure's, in the
            project's style whatever the user's rcParams are.

    Returns:
        The Axes drawn into, top panel first; their `.figure` is the Figure. Nothing is shown, saved or closed.

    Raises:
        InputError: fewer than one token, an empty map or none, or not one or two Axes.

    >>> import keepmap, torch
    >>> expires = torch.tensor([[[8, 6, 7, 8, 8, 8, 8, 8]]])  # of 8 tokens; the second and the third are evicted
    >>> keep_map = keepmap.KeepMap(expires, torch.zeros(1, 1, 8), n_sink=1, window=4, info={"label": "Mine"})
    >>> top, bottom = keepmap.draw.compression_heatmap(keep_map)
    >>> top.get_title(loc="left")
    'Mine · rule not recorded'
    """
    keep_map = keep_map_of(keep_map)
    statistics, entries = token_statistics(keep_map, n_tokens), entry_statistics(keep_map, n_tokens)
    wording = Wording(describe(keep_map), title, legend, caption)
    if ax is not None:
        axes = given_axes(ax, 1, 2)
        columns = min(WIDTH_PX, pixels(axes[0].bbox.width))
        heading = _heading(statistics, entries, wording, columns, width_in_points(axes[0]), panels=len(axes))
        _draw(axes, statistics, heading)
        return axes
    width = WIDTH_PX / DPI
    with figure_style():
        heading = _heading(statistics, entries, wording, WIDTH_PX, width * 72, panels=2)
        left, top = 1.05, heading.height + 0.1
        figure = blank_figure(left + width + 0.3, top + 2.4, heading.label)
        axes = (panel(figure, left, top, width, 1.3), panel(figure, left, top + 1.4, width, 0.45))
        _draw(axes, statistics, heading)
    return axes


def _heading(
    statistics: TokenStatistics, entries: KeptCounts, wording: Wording, columns: int, width: float, panels: int
) -> Heading:
    n = statistics.n_tokens
    legend = kept_legend(gathered=n > columns)
    if panels == 2:
        legend += [swatch(PROTECTED, "protected"), swatch(COMPRESSIBLE, "compressible")]
    legend += [line.handle for line in boundaries(n, statistics.n_sink, statistics.window)]
    # Tokens are counted by what layers and heads do on average; where they disagree, the cache holds another share.
    kept = f"Entries kept: {entries.n_kept / entries.n:.2%}"
    return wording.heading([*statistics.lines()[1:], kept], legend, width)


def _draw(axes: tuple[Axes, ...], statistics: TokenStatistics, heading: Heading) -> None:
    n = statistics.n_tokens
    _strip(axes[0], statistics.kept.numpy(), EVICTED, KEPT, "cache")
    if len(axes) == 2:
        _strip(axes[1], statistics.protected.numpy(), COMPRESSIBLE, PROTECTED, "protection")
        axes[1].patch.set(edgecolor="0.4", linewidth=1.2)  # behind the tokens, which hide its inner half
        axes[0].tick_params(bottom=False, labelbottom=False)
    position_axis(axes[-1], n)
    for line in boundaries(n, statistics.n_sink, statistics.window):
        line.draw(axes)
    heading.draw(axes[0])


def _strip(ax: Axes, mask: Bool[np.ndarray, " N"], low: str, high: str, label: str) -> None:
    """One row of tokens over the whole height."""

    def paint_strip(width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
        return paint(gather(mask[None], min(width, WIDTH_PX)), low, high, height=min(height, 8), tick=1)[0]

    Raster(ax, paint_strip, extent=(0.0, float(len(mask)), 0.0, 1.0))
    ax.set(xlim=(0, len(mask)), ylim=(0, 1), yticks=[])
    ax.set_ylabel(label, rotation=0, ha="right", va="center")
