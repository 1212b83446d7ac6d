"""The compression heatmap: how much of a text's first tokens the cache still holds, and which are protected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes

from keepmap.core.densities import KeptCounts, TokenStatistics, entry_statistics, token_statistics
from keepmap.core.keep_map import HasKeepMap, KeepMap
from keepmap.drawing.parts.arguments import AxesLike, given_axes, keep_map_of
from keepmap.drawing.parts.caption import describe
from keepmap.drawing.parts.cells import gather, paint
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import (
    Boundary,
    blank_figure,
    boundaries,
    half_kept,
    kept_legend,
    panel,
    position_axis,
    share_legend,
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

    Under a budget, the top panel shows the share of each token's entries (layer x KV head) that is kept, from red
    (none) to green (all), lighter the more is kept. Under a threshold it is the guide's, kept (green) and evicted
    (red): tokens on which layers and heads disagree count as `keepmap.core.densities.token_statistics` counts them, and
    the share stands in a panel below. Bottom panel: protected (blue) and compressible (white). A blue dashed line
    stands after the sinks, an orange one where the window starts, a grey one where a context ends that was cut once:
    what comes later is protected. Token j covers x from j to j + 1. Every token has a
    pixel column or more; where there are too many for that, a cell's shade is the mean share of its tokens, and a tick
    at the bottom has the largest.

    Args:
        keep_map: what was kept, or the Eviction that says it.
        n_tokens: tokens shown, counted from the first.
        title: the first line above the figure, "" for none; by default the map's label, its threshold or density, and
            its model.
        legend: whether there is a legend.
        caption: whether the densities are written under the title; a string stands there instead.
        ax: the Axes to draw into: one for the top panel, two for the top and the bottom panel, under a threshold three
            for all. By default a new Figure's, in the project's style whatever the user's rcParams are.

    Returns:
        The Axes drawn into, top panel first; their `.figure` is the Figure. Nothing is shown, saved or closed.

    Raises:
        InputError: fewer than one token, an empty map or none, or another number of Axes.

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
    panels = _panels(keep_map, statistics)
    if ax is not None:
        axes = given_axes(ax, *range(1, len(panels) + 1))
        panels = panels if len(axes) == len(panels) else [panels[0], panels[-1]][: len(axes)]
        columns = min(WIDTH_PX, pixels(axes[0].bbox.width))
        heading = _heading(keep_map.shape[2], statistics, entries, panels, wording, columns, width_in_points(axes[0]))
        _draw(axes, panels, statistics, heading)
        return axes
    width = WIDTH_PX / DPI
    with figure_style():
        heading = _heading(keep_map.shape[2], statistics, entries, panels, wording, WIDTH_PX, width * 72)
        left, top = 1.05, heading.height + 0.1
        heights = [1.3, *[0.45] * (len(panels) - 1)]
        figure = blank_figure(left + width + 0.3, top + sum(heights) + 0.1 * len(heights) + 0.45, heading.label)
        tops = [top + sum(heights[:number]) + 0.1 * number for number in range(len(panels))]
        axes = tuple(panel(figure, left, above, width, height) for above, height in zip(tops, heights, strict=True))
        _draw(axes, panels, statistics, heading)
    return axes


@dataclass(frozen=True, eq=False)
class _Panel:
    """A row of tokens, each with a share between two colours."""

    label: str
    shares: Bool[np.ndarray, " N"] | Float[np.ndarray, " N"]
    low: str = EVICTED
    high: str = KEPT

    def draw(self, ax: Axes) -> None:
        """Draw the row into `ax`, which it fills from bottom to top."""

        def paint_strip(width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
            cells = gather(self.shares[None], min(width, WIDTH_PX))
            return paint(cells, self.low, self.high, height=min(height, 8), tick=1)[0]

        Raster(ax, paint_strip, extent=(0.0, float(len(self.shares)), 0.0, 1.0))
        ax.set(xlim=(0, len(self.shares)), ylim=(0, 1), yticks=[])
        ax.set_ylabel(self.label, rotation=0, ha="right", va="center")


def _panels(keep_map: KeepMap, statistics: TokenStatistics) -> list[_Panel]:
    share = _Panel("share kept", statistics.share.numpy())
    protected = _Panel("protection", statistics.protected.numpy(), COMPRESSIBLE, PROTECTED)
    if keep_map.threshold is None:
        return [share, protected]
    return [_Panel("cache", statistics.kept.numpy()), share, protected]


def _heading(
    n_text: int,
    statistics: TokenStatistics,
    entries: KeptCounts,
    panels: Sequence[_Panel],
    wording: Wording,
    columns: int,
    width: float,
) -> Heading:
    n, labels = statistics.n_tokens, [row.label for row in panels]
    gathered = n > columns
    legend = kept_legend(gathered) if "cache" in labels else share_legend(gathered)
    if {"cache", "share kept"} <= {*labels} and not gathered:
        legend.append(half_kept("half of its entries kept"))
    if "protection" in labels:
        legend += [swatch(PROTECTED, "protected"), swatch(COMPRESSIBLE, "compressible")]
    legend += [line.handle for line in _boundaries(statistics)]
    # A longer text's cache changes until its end: other figures of it have other densities.
    cut = [f"the cache after {n:,} of {n_text:,} tokens"] if n < n_text else []
    if "cache" not in labels:
        return wording.heading([*entries.entry_lines(), statistics.lines()[2], *cut], legend, width)
    # Tokens are counted by what layers and heads do on average; where they disagree, the cache holds another share.
    kept = f"Entries kept: {entries.n_kept / entries.n:.2%}"
    return wording.heading([*statistics.lines()[1:], kept, *cut], legend, width)


def _draw(axes: tuple[Axes, ...], panels: Sequence[_Panel], statistics: TokenStatistics, heading: Heading) -> None:
    n = statistics.n_tokens
    for ax, row in zip(axes, panels, strict=True):
        row.draw(ax)
        ax.tick_params(bottom=ax is axes[-1], labelbottom=ax is axes[-1])
    if len(axes) > 1:
        axes[-1].patch.set(edgecolor="0.4", linewidth=1.2)  # behind the tokens, which hide its inner half
    position_axis(axes[-1], n)
    for line in _boundaries(statistics):
        line.draw(axes)
    heading.draw(axes[0])


def _boundaries(statistics: TokenStatistics) -> tuple[Boundary, ...]:
    n = statistics.n_tokens
    return boundaries(n, statistics.n_sink, statistics.window, n - statistics.n_after)
