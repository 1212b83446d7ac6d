"""What history compressors keep: one row per compressor, one column per transition."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Integer
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from keepmap.core.arguments import as_array
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, swatch, width_in_points
from keepmap.drawing.parts.style import PROTECTED, figure_style
from keepmap.errors import InputError, escaped

__all__ = ["kept_transitions"]

KEPT = "0.1"
REWARDED = "0.82"
EPISODE = "0.5"
PAID = "attention paid"
MOST_NUMBERS = 16  # of episodes that find room above the figure
ROW, GAP = 0.26, 0.12  # inches


def kept_transitions(
    kept: Mapping[str, Sequence[bool] | Bool[np.ndarray, "..."]],
    *,
    rewards: Sequence[float] | Float[np.ndarray, "..."],
    episodes: Sequence[int] | Integer[np.ndarray, "..."],
    attention: Sequence[float] | Float[np.ndarray, "..."] | None = None,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw which transitions of one history each compressor keeps: a dark mark is kept, a grey column was rewarded.

    Args:
        kept: a label for each row, and what it keeps, [n].
        rewards: [n], of each transition.
        episodes: [n], the number of each transition's episode; a line is drawn where it changes.
        attention: [n], of the query state to each transition, as the bottom row, in shares of the largest.
        title: the first line above the figure; by default "What each compressor keeps", "" for none.
        legend: whether there is a legend.
        caption: a string stands under the title; the figure has none of its own.
        ax: the Axes to draw into; by default a new Figure's.

    Returns:
        The Axes drawn into, alone.

    Raises:
        InputError: nothing to draw, or numbers of transitions that differ.

    >>> import keepmap, numpy as np
    >>> kept = {"recency": np.array([False, False, True, True]), "uniform": np.array([True, False, True, False])}
    >>> (ax,) = keepmap.draw.kept_transitions(kept, rewards=np.array([0.0, 1, 0, 1]), episodes=np.array([1, 1, 2, 2]))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['recency', 'uniform']
    """
    check_kind("kept", kept, Mapping, "a mapping from labels to masks")
    if not kept or np.ndim(rewards) != 1 or not len(rewards):
        empty = "`kept` has no compressor" if not kept else f"`rewards` has the shape {list(np.shape(rewards))}"
        raise InputError(f"{empty}; give one or more, and a reward for each of one or more transitions")
    rewards, episodes = as_array("rewards", rewards).astype(np.float64), as_array("episodes", episodes)
    attention = None if attention is None else as_array("attention", attention).astype(np.float64)
    rows = {label: as_array("kept", mask).astype(np.bool_) for label, mask in kept.items()}
    n = len(rewards)
    masks = {f'`kept` of "{label}"': mask for label, mask in rows.items()}
    for name, values in {**masks, "`episodes`": episodes, "`attention`": attention}.items():
        if values is not None and np.shape(values) != (n,):
            raise InputError(
                f"expected {name} to be {n} values, one for each of `rewards`, got {list(np.shape(values))}"
            )
    labels = [*rows, *(() if attention is None else (PAID,))]
    entries = [
        Line2D([], [], color=KEPT, linewidth=0, marker="s", markersize=5, label="kept"),
        swatch(REWARDED, "rewarded"),
        Line2D([], [], color=EPISODE, linewidth=0.8, label="an episode starts"),
    ]
    wording = Wording("What each compressor keeps", title, legend, caption)
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        heading = wording.heading((), entries, width_in_points(ax), 16.0)
        _draw(ax, rows, rewards, episodes, attention, heading)
        return (ax,)
    width, height = 7.0, ROW * len(labels)
    with figure_style():
        heading = wording.heading((), entries, width * 72, 16.0)
        left = 0.25 + 0.075 * max(map(len, labels))
        top = heading.height + GAP
        figure = blank_figure(left + width + 0.2, top + height + 0.6, heading.title or wording.default)
        ax = panel(figure, left, top, width, height)
        _draw(ax, rows, rewards, episodes, attention, heading)
    return (ax,)


def _draw(
    ax: Axes,
    kept: Mapping[str, Bool[np.ndarray, " n"]],
    rewards: Float[np.ndarray, " n"],
    episodes: Integer[np.ndarray, " n"],
    attention: Float[np.ndarray, " n"] | None,
    heading: Heading,
) -> None:
    n, rows = len(rewards), len(kept) + (attention is not None)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rewards != 0, [0]])))
    ax.broken_barh(list(zip(edges[::2], edges[1::2] - edges[::2], strict=True)), (0, rows), color=REWARDED, zorder=0)
    starts = np.flatnonzero(np.diff(episodes)) + 1
    ax.vlines(starts, 0, rows, color=EPISODE, linewidth=0.8, zorder=1)
    ax.hlines(np.arange(1, rows), 0, n, color="0.9", linewidth=0.5, zorder=1)
    for row, mask in enumerate(kept.values()):
        where = np.flatnonzero(mask)
        ax.vlines(
            where + 0.5, row + 0.12, row + 0.88, color=KEPT, linewidth=max(1.2, 0.8 * width_in_points(ax) / n), zorder=3
        )
    if attention is not None:
        height = 0.9 * attention / max(float(attention.max()), np.finfo(np.float64).tiny)
        ax.bar(np.arange(n) + 0.5, -height, width=1.0, bottom=rows, color=PROTECTED, zorder=2)
    ax.set(xlim=(0, n), ylim=(rows, 0), xlabel="transition, oldest first")
    names = [*map(escaped, kept), *(() if attention is None else (PAID,))]
    ax.set_yticks(np.arange(rows) + 0.5, names, parse_math=False)
    ax.tick_params(axis="y", length=0)
    above = ax.secondary_xaxis("top")
    bounds = np.array([0, *starts, n])
    every = slice(None, None, -(-(len(bounds) - 1) // MOST_NUMBERS))
    middles = (bounds[1:] + bounds[:-1]) / 2
    above.set_xticks(middles[every], [str(episodes[first]) for first in bounds[:-1][every]])
    above.tick_params(length=0, pad=1)
    above.xaxis.set_minor_locator(NullLocator())
    above.spines["top"].set_visible(False)
    ax.annotate("episode", (0, 1), (-6, 3), xycoords="axes fraction", textcoords="offset points", ha="right")
    heading.draw(ax)
