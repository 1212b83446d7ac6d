"""How long entries stay in the cache: one survival curve per layer."""

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from keepmap.core.keep_map import HasKeepMap, KeepMap
from keepmap.drawing.parts.arguments import AxesLike, given_axes, keep_map_of
from keepmap.drawing.parts.caption import describe
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import Boundary, blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import WINDOW_LINE, figure_style, number_decades
from keepmap.errors import InputError

__all__ = ["keep_map_lifetimes", "survival"]

NAMED_LAYERS = 8


def survival(keep_map: KeepMap) -> Float[np.ndarray, "L ages"]:
    """The share of each layer's entries that are still in the cache after 0, 1, 2, ... steps there; sinks left out.

    An entry that the text's end found in the cache says only that it lived that long (the Kaplan-Meier estimate), so
    that late positions do not count as short-lived.

    Raises:
        InputError: a map with no position beside the sinks.

    >>> import keepmap, torch
    >>> expires = torch.tensor([[[5, 3, 4, 5, 5]]])  # of 5 positions; the second and the third stay for two steps
    >>> survival(keepmap.KeepMap(expires, torch.zeros(1, 1, 5), n_sink=1, window=1)).round(2).tolist()
    [[1.0, 1.0, 0.33, 0.33, 0.33]]
    """
    layers, _, n = keep_map.shape
    first = keep_map.n_sink
    if first >= n:
        raise InputError(f"`keep_map` has {n} positions, of which {first} are sinks; lifetimes need one beside them")
    held = keep_map.kept()[:, :, first:].reshape(layers, -1).numpy()
    stayed = (keep_map.expires.numpy() - np.arange(n))[:, :, first:].reshape(layers, -1)
    curves = np.ones((layers, n - first + 1))
    for layer in range(layers):
        left = np.bincount(stayed[layer], minlength=n - first + 1)
        evicted = np.bincount(stayed[layer][~held[layer]], minlength=n - first + 1)
        there = left[::-1].cumsum()[::-1]
        curves[layer] = np.cumprod(1 - evicted / np.maximum(there, 1))
    return curves


def keep_map_lifetimes(
    keep_map: KeepMap | HasKeepMap,
    *,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw, for each layer, the share of entries still kept after so many steps in the cache; sinks left out.

    Args:
        keep_map: what was kept, or the Eviction that says it.
        title: the first line above the figure, "" for none; by default the map's label, its threshold or density, and
            its model.
        legend: whether there is a legend.
        caption: whether the map's footprint and shape are written under the title; a string stands there instead.
        ax: the Axes to draw into. By default a new Figure's, in the project's style whatever the user's rcParams are.

    Returns:
        The Axes drawn into, alone.

    Raises:
        InputError: a map with no position beside the sinks, or none.

    >>> import keepmap, torch
    >>> expires = torch.tensor([[[5, 3, 4, 5, 5]]])  # of 5 positions; the second and the third are evicted
    >>> keep_map = keepmap.KeepMap(expires, torch.zeros(1, 1, 5), n_sink=1, window=1)
    >>> (ax,) = keepmap.draw.keep_map_lifetimes(keep_map, legend=False)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('steps in the cache', 'still kept (%)')
    """
    keep_map = keep_map_of(keep_map)
    curves = survival(keep_map)
    wording = Wording(describe(keep_map), title, legend, caption)
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        _draw(ax, curves, keep_map.window, _heading(keep_map, curves, wording, width_in_points(ax)))
        return (ax,)
    width, height = 6.0, 3.0
    with figure_style():
        heading = _heading(keep_map, curves, wording, width * 72)
        top = heading.height + 0.1
        figure = blank_figure(width + 1.1, top + height + 0.6, heading.label)
        ax = panel(figure, 0.8, top, width, height)
        _draw(ax, curves, keep_map.window, heading)
    return (ax,)


def _heading(keep_map: KeepMap, curves: Float[np.ndarray, "L ages"], wording: Wording, width: float) -> Heading:
    layers, heads, n = keep_map.shape
    named = np.unique(np.linspace(0, layers - 1, min(layers, NAMED_LAYERS)).round().astype(int))
    legend = [Line2D([], [], color=_colour(layer, layers), label=f"layer {layer}") for layer in named.tolist()]
    legend += [line.handle for line in _window_line(keep_map.window, curves.shape[1] - 1)]
    statistics = [f"footprint: {keep_map.footprint():.2%}", f"layers={layers}, KV heads={heads}, positions={n}"]
    return wording.heading(statistics, legend, width)


def _draw(ax: Axes, curves: Float[np.ndarray, "L ages"], window: int, heading: Heading) -> None:
    layers, ages = curves.shape
    for layer, curve in enumerate(curves):
        ax.step(np.arange(1, ages), 100 * curve[1:], where="post", color=_colour(layer, layers), linewidth=1.2)
    ax.set_xscale("log")
    number_decades(ax.xaxis)
    ax.set(xlim=(1, max(2, ages - 1)), ylim=(0, 102), xlabel="steps in the cache", ylabel="still kept (%)")
    ax.spines[["top", "right"]].set_visible(False)
    for line in _window_line(window, ages - 1):
        line.draw([ax])
    heading.draw(ax)


def _window_line(window: int, oldest: int) -> list[Boundary]:
    return [Boundary(window, WINDOW_LINE, f"window of {window}")] if 1 < window < oldest else []


def _colour(layer: int, layers: int) -> str:
    """A colour for each layer, from dark to light with its depth."""
    return to_hex(matplotlib.colormaps["viridis"](0.9 * layer / max(1, layers - 1)))
