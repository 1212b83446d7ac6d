"""The map by layer: every layer and KV head a row, every position a column, kept or evicted after the last step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from keepmap.core.arguments import as_integer
from keepmap.core.keep_map import HasKeepMap, KeepMap
from keepmap.drawing.parts.arguments import AxesLike, given_axes, keep_map_of
from keepmap.drawing.parts.caption import describe
from keepmap.drawing.parts.cells import gather, paint
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import (
    Boundary,
    blank_figure,
    boundaries,
    kept_legend,
    panel,
    position_axis,
    width_in_points,
)
from keepmap.drawing.parts.raster import Raster, pixels
from keepmap.drawing.parts.style import DPI, EVICTED, KEPT, PROTECTED, figure_style
from keepmap.errors import InputError

__all__ = ["keep_map_by_layer"]

AGE = "0.5"
WIDTH_PX = 2048
READABLE_PX = 22
"""The least height of a row that has a label of its own."""


@dataclass(frozen=True)
class _Rows:
    """`heads` rows of `height` pixels to a layer, then `gap` white ones; layer l covers y from l to l + 1."""

    layers: int
    heads: int
    height: int
    gap: int

    @property
    def layer_px(self) -> int:
        return self.heads * self.height + self.gap

    @property
    def middles(self) -> np.ndarray:
        """The y of each row, layer by layer."""
        inside = (np.arange(self.heads) + 0.5) * self.height / self.layer_px
        return (np.arange(self.layers)[:, None] + inside).ravel()

    @property
    def layer_middles(self) -> np.ndarray:
        return np.arange(self.layers) + self.heads * self.height / self.layer_px / 2

    @property
    def pixels(self) -> int:
        """The height of them all, without the gap below the last layer."""
        return self.layers * self.layer_px - self.gap

    @property
    def bottom(self) -> float:
        """The y at which the last row ends."""
        return self.pixels / self.layer_px

    @property
    def every(self) -> int:
        """Every how many layers there is room for a label."""
        return max(1, -(-READABLE_PX // self.layer_px))


def keep_map_by_layer(
    keep_map: KeepMap | HasKeepMap,
    *,
    max_columns: int = 2048,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw every entry of the cache after the last step: one row per (layer, KV head), one column per position.

    Above the rows stand the protected zones, on their right the density of each row; where all rows keep the same
    number, as under a budget, the median age of what they keep beside the zones, which tells them apart. Position j
    covers x from j to j + 1, layer l covers y from l to l + 1. A text of more positions than columns is gathered into
    cells: the shade between evicted and kept is the share kept, and a tick at the foot of a row says that at least one
    is.

    Args:
        keep_map: what was kept, or the Eviction that says it.
        max_columns: the most cells in a row.
        title: the first line above the figure, "" for none; by default the map's label, its threshold or density, and
            its model.
        legend: whether there is a legend.
        caption: whether the map's shape and its densities are written under the title; a string stands there instead.
        ax: the Axes to draw the rows into; zones and densities are left out. By default a new Figure's, in the
            project's style whatever the user's rcParams are.

    Returns:
        The Axes drawn into: the rows, and in a new Figure the zones and the densities (or ages) too.

    Raises:
        InputError: fewer than one column, an empty map or none, or Axes that are too low for the rows.

    >>> import keepmap, torch
    >>> expires = torch.tensor([[[8, 6, 7, 8, 8, 8, 8, 8], [8, 8, 8, 8, 8, 8, 8, 8]]])  # one layer of two KV heads
    >>> keep_map = keepmap.KeepMap(expires, torch.zeros(1, 2, 8), n_sink=1, window=4)
    >>> rows, zones, densities = keepmap.draw.keep_map_by_layer(keep_map)
    >>> [text.get_text() for text in densities.texts]
    ['75.0%', '100.0%']
    """
    keep_map = keep_map_of(keep_map)
    layers, heads, n = keep_map.shape
    max_columns = as_integer("max_columns", max_columns, 1)
    if min(layers, heads, n) < 1:
        raise InputError(f"`keep_map` has no entries: its shape is {keep_map.shape}")
    wording = Wording(describe(keep_map), title, legend, caption)
    kept = keep_map.kept().numpy()
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        columns = min(max_columns, n, pixels(ax.bbox.width))
        heading = _heading(keep_map, wording, columns, width_in_points(ax))
        _draw(ax, keep_map, kept, _rows_in(pixels(ax.bbox.height), layers, heads), max_columns, heading)
        return (ax,)
    rows, columns = _rows(layers, heads), min(max_columns, n)
    width, height = max(WIDTH_PX, columns) / DPI, rows.pixels / DPI
    with figure_style():
        heading = _heading(keep_map, wording, columns, width * 72, lift=26.0)
        left, top = 0.95, heading.height + 0.1
        figure = blank_figure(left + width + 1.6, top + height + 0.6, heading.label)
        main = panel(figure, left, top, width, height)
        zones = panel(figure, left, top - 0.2, width, 0.14)
        densities = panel(figure, left + width + 0.25, top, 0.75, height)
        _draw(main, keep_map, kept, rows, max_columns, heading)
        _draw_zones(zones, keep_map)
        _draw_densities(densities, keep_map, kept, rows)
    return main, zones, densities


def _heading(keep_map: KeepMap, wording: Wording, columns: int, width: float, lift: float = 0.0) -> Heading:
    layers, heads, n = keep_map.shape
    statistics = [
        f"{_counted(layers, 'layer')} x {_counted(heads, 'KV head')} x {_counted(n, 'position')}",
        f"entries kept: {keep_map.density():.2%}",
        f"compressible kept: {keep_map.compressible_density():.2%}",
        f"footprint: {keep_map.footprint():.2%}",
    ]
    if n > columns:
        statistics.append(f"cells of {n / columns:.3g} positions")
    legend = kept_legend(gathered=n > columns) + [line.handle for line in _boundaries(keep_map)]
    return wording.heading(statistics, legend, width, lift)


def _boundaries(keep_map: KeepMap) -> tuple[Boundary, ...]:
    n = keep_map.shape[2]
    return boundaries(n, keep_map.n_sink, keep_map.window, keep_map.window_end(n))


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _rows(layers: int, heads: int) -> _Rows:
    height = min(40, max(4, 1440 // (layers * heads)))
    return _Rows(layers, heads, height, gap=max(3, height // 4))


def _rows_in(available: int, layers: int, heads: int) -> _Rows:
    """The highest rows that fit into that many pixels."""
    layer_px = available // layers
    gap = max(1, layer_px // 12)
    height = (layer_px - gap) // heads
    if height < 2:
        raise InputError(
            f"`ax` is {available} pixels high, {layers} layers of {heads} KV heads need {layers * (2 * heads + 1)} or "
            "more; make the figure higher, or its dpi"
        )
    return _Rows(layers, heads, height, gap=layer_px - heads * height)


def _draw(
    ax: Axes, keep_map: KeepMap, kept: Bool[np.ndarray, "L G N"], rows: _Rows, max_columns: int, heading: Heading
) -> None:
    n = kept.shape[2]

    def paint_rows(width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
        fitting = rows if height >= rows.pixels else _rows_in(height, rows.layers, rows.heads)
        return _picture(kept, fitting, min(width, max_columns))

    Raster(ax, paint_rows, extent=(0.0, float(n), rows.bottom, 0.0))
    ax.set_ylim(rows.bottom, 0)
    position_axis(ax, n)
    for line in _boundaries(keep_map):
        line.draw([ax])
    heading.draw(ax)
    ax.set_yticks(rows.layer_middles[:: rows.every], [str(layer) for layer in range(0, rows.layers, rows.every)])
    ax.tick_params(axis="y", length=0)
    ax.set_ylabel("layer")
    if rows.heads > 1 and rows.height >= READABLE_PX:
        ax.yaxis.remove_overlapping_locs = False  # the middle one of three heads stands where its layer does
        ax.set_yticks(rows.middles, [str(head) for head in range(rows.heads)] * rows.layers, minor=True)
        ax.tick_params(axis="y", which="minor", length=0, labelsize=7, labelcolor="0.35", pad=3)
        ax.tick_params(axis="y", which="major", pad=16)
        ax.set_ylabel("layer, KV head")


def _picture(kept: Bool[np.ndarray, "L G N"], rows: _Rows, columns: int) -> UInt8[np.ndarray, "H C 3"]:
    cells = gather(kept.reshape(-1, kept.shape[2]), columns)
    painted = paint(cells, EVICTED, KEPT, rows.height, tick=max(1, rows.height // 5))
    shown = painted.shape[2]
    picture = np.full((rows.layers, rows.layer_px, shown, 3), 255, dtype=np.uint8)
    picture[:, : rows.heads * rows.height] = painted.reshape(rows.layers, rows.heads * rows.height, shown, 3)
    return picture.reshape(-1, shown, 3)[: rows.pixels]


def _draw_zones(ax: Axes, keep_map: KeepMap) -> None:
    """The protected zones, hatched and named."""
    n = keep_map.shape[2]
    after = n - keep_map.window_end(n)
    n_sink, window = min(keep_map.n_sink, n), min(keep_map.window, n - after) + after
    ax.spines[:].set_visible(False)
    ax.set(xlim=(0, n), ylim=(0, 1), xticks=[], yticks=[])
    ax.axhline(0.5, color="0.7", linewidth=0.6, zorder=0)
    two_pixels = 2 * n / WIDTH_PX
    for left, size in ((True, n_sink), (False, window)):
        if size:
            width = max(float(size), two_pixels)
            start = 0.0 if left else n - width
            ax.add_patch(Rectangle((start, 0), width, 1, facecolor="#CFE3F1", edgecolor=PROTECTED, hatch="/////"))
    if n_sink:
        ax.annotate(f"sinks: first {n_sink}", (0, 1), (0, 2), textcoords="offset points", fontsize=8, va="bottom")
    if window:
        last = f"window: last {window}" if not after else f"last {window - after} of the context, and all after it"
        ax.annotate(last, (n, 1), (0, 2), textcoords="offset points", fontsize=8, ha="right", va="bottom")


def _draw_densities(ax: Axes, keep_map: KeepMap, kept: Bool[np.ndarray, "L G N"], rows: _Rows) -> None:
    """A bar for each row, and a number for each row or, where they are too low, for each layer."""
    counts = kept.sum(axis=2)
    if counts.size > 1 and np.ptp(counts) <= 1 < kept.shape[2] - counts.max():
        ages, of_rows, of_layers = _ages(keep_map, kept)
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 7.5}
        if len({*of_rows}) == 1:
            # Equal bars say nothing that one number does not.
            equal = "nothing beside\nsinks and window" if of_rows[0] == "-" else f"median age of it:\n{of_rows[0]}"
            ax.annotate(equal, (0, 1), (0, -4), va="top", **place)
            ax.set_axis_off()
        else:
            _draw_bars(ax, rows, ages, of_rows, of_layers, colour=AGE)
            ax.set_xlabel("median age of\nwhat is kept", fontsize=8)
            ax.set_xticks([0, 1], ["0", str(kept.shape[2])])
        ax.annotate(f"each row keeps {kept.mean():.1%}", (0, 1), (0, 4), **place)
        return
    share = kept.mean(axis=2)
    _draw_bars(ax, rows, share, [f"{value:.1%}" for value in share.ravel()], [f"{v:.1%}" for v in share.mean(axis=1)])
    ax.set_xticks([0, 0.5, 1], ["0", "50", "100"])
    ax.set(xlabel="kept (%)")


def _ages(keep_map: KeepMap, kept: Bool[np.ndarray, "L G N"]) -> tuple[Float[np.ndarray, "L G"], list[str], list[str]]:
    """Of each row the median age of what it keeps beside the zones, as a share of N, 0 where that is nothing; and the
    ages in words, of each row and of each layer."""
    n = kept.shape[2]
    free = kept & ~keep_map.protected().numpy()

    def age(mask: Bool[np.ndarray, "G N"]) -> float:
        places = np.nonzero(mask)[1]
        return float(n - 1 - np.median(places)) if len(places) else float("nan")

    def words(value: float) -> str:
        return "-" if np.isnan(value) else f"{value:.0f}"

    by_row = np.array([[age(row[None]) for row in layer] for layer in free])
    of_layers = [words(age(layer)) for layer in free]
    return np.nan_to_num(by_row) / n, [words(value) for value in by_row.ravel()], of_layers


def _draw_bars(
    ax: Axes,
    rows: _Rows,
    share: Float[np.ndarray, "L G"],
    of_rows: Sequence[str],
    of_layers: Sequence[str],
    colour: str = KEPT,
) -> None:
    """A bar for each row, from 0 to 1, and the words of each row or, where these are too low, of each layer."""
    height = rows.height / rows.layer_px
    ax.spines[:].set_visible(False)
    gap = 0.15 if rows.height >= READABLE_PX else 0.0
    ax.barh(rows.middles, np.ones(share.size), height=height, color="0.93")
    ax.barh(rows.middles, share.ravel(), height=height * (1 - gap), color=colour)
    ax.set(xlim=(0, 1), ylim=(rows.bottom, 0), yticks=[])
    high = rows.height >= READABLE_PX
    places = rows.middles if high else rows.layer_middles[:: rows.every]
    for y, text in zip(places, of_rows if high else of_layers[:: rows.every], strict=True):
        ax.annotate(text, (1, y), (4, 0), textcoords="offset points", fontsize=7.5, va="center")
