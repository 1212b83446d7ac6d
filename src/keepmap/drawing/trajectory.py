"""Where an agent went: a small picture of each episode, rewards marked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Integer, Shaped
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from keepmap.core.arguments import as_array
from keepmap.drawing.parts.arguments import AxesLike, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, swatch, width_in_points
from keepmap.drawing.parts.style import figure_style
from keepmap.errors import InputError

__all__ = ["trajectory"]

REWARDED, PATH, EDGE = "0.78", "0.1", "0.5"
MOST, A_ROW, MOST_CELLS = 12, 6, 1000
DRIFT = 0.5
"""How far a path drifts over an episode, in cells: who stands still or comes back is seen all the same."""
LEAST_WIDE, LEAST_HIGH = 3, 3


def trajectory(
    states: Sequence[Any] | Shaped[np.ndarray, "..."],
    *,
    actions: Sequence[int] | Shaped[np.ndarray, "..."],
    rewards: Sequence[float] | Shaped[np.ndarray, "..."],
    next_states: Sequence[Any] | Shaped[np.ndarray, "..."],
    episodes: Sequence[int] | Shaped[np.ndarray, "..."],
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw an agent's way through a room, an episode beside the other; of many twelve, the first and the last of them.

    Where states have two numbers or more, the first two are row and column, and a path goes from cell to cell, light at
    its start and dark at its end; cells that paid are grey, and the room is as large as the steps go. Where states are
    one number, a line has the state that each step led to, or, where that is always the same (a bandit), the action;
    steps that paid are filled.

    Args:
        states, next_states: [n, S] or [n], before and after each step, whole numbers.
        actions: [n]. rewards: [n]. episodes: [n], the number of each step's episode, as it is to be written.
        title: the first line above the figure; by default "Where the agent went", "" for none.
        legend: whether there is a legend.
        caption: whether steps, episodes and rewards are counted under the title; a string stands there instead.
        ax: the Axes to draw into; by default a new Figure's.

    Returns:
        The Axes drawn into, alone.

    Raises:
        InputError: no steps, numbers of steps that differ, or states and actions below 0 or of 1,000 and more.

    >>> import keepmap
    >>> (ax,) = keepmap.draw.trajectory(
    ...     [[1, 1], [1, 2]], actions=[3, 4], rewards=[0.0, 1.0], next_states=[[1, 2], [1, 2]], episodes=[1, 1]
    ... )
    >>> [text.get_text() for text in ax.texts][0]
    'episode 1'
    """
    given = {"states": states, "actions": actions, "rewards": rewards, "next_states": next_states, "episodes": episodes}
    parts = {name: as_array(name, value) for name, value in given.items()}
    for name in ("states", "next_states"):
        parts[name] = parts[name][:, None] if parts[name].ndim == 1 else parts[name]
        if parts[name].ndim != 2 or not parts[name].size:
            raise InputError(
                f"expected `{name}` to be [n, S] of one step or more, got the shape {list(np.shape(given[name]))}"
            )
    n = len(parts["states"])
    for name, value in parts.items():
        expected = parts["states"].shape if name == "next_states" else (n, *value.shape[1:2] * (name == "states"))
        if value.shape != expected:
            raise InputError(f"expected `{name}` to be of {n} steps, as `states`, got {list(value.shape)}")
        if not np.isfinite(value).all():
            raise InputError(f"expected `{name}` to be finite, got NaN or infinite numbers")
        if name in ("states", "next_states", "actions") and not 0 <= value.min() <= value.max() < MOST_CELLS:
            raise InputError(
                f"expected `{name}` to be cells below {MOST_CELLS:,}, or numbers like them, counted from 0, got "
                f"{value.min():g} to {value.max():g}"
            )
    runs = np.split(np.arange(n), np.flatnonzero(np.diff(parts["episodes"])) + 1)
    shown = np.unique(np.linspace(0, len(runs) - 1, min(MOST, len(runs))).round().astype(int))
    tiles = _Paths(parts) if parts["states"].shape[1] > 1 else _Lines(parts, max(map(len, runs)))
    wording = Wording("Where the agent went", title, legend, caption)
    statistics = [
        f"{n:,} steps",
        f"{len(shown)} of {len(runs):,} episodes" if len(shown) < len(runs) else f"{len(runs)} episodes",
        f"{int((parts['rewards'] != 0).sum()):,} steps paid",
    ]
    columns, rows = min(A_ROW, len(shown)), -(-len(shown) // A_ROW)
    size = (columns * (tiles.width + tiles.gap) - tiles.gap, rows * (tiles.height + tiles.gap))
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        heading = wording.heading(statistics, tiles.legend, width_in_points(ax))
    else:
        width = min(7.0, max(3.2, 1.5 * columns))
        height = width * size[1] / size[0]
        with figure_style():
            heading = wording.heading(statistics, tiles.legend, width * 72)
            figure = blank_figure(width + 0.4, heading.height + height + 0.2, heading.title or wording.default)
            ax = panel(figure, 0.2, heading.height, width, height)
    with figure_style():
        _draw(ax, tiles, [(runs[at], f"{parts['episodes'][runs[at][0]]:g}") for at in shown], size, heading)
    return (ax,)


class _Paths:
    """Episodes as paths over the cells of a room."""

    gap = 1.4

    def __init__(self, parts: dict[str, np.ndarray]) -> None:
        cells = np.concatenate([parts["states"][:, :2], parts["next_states"][:, :2]])
        self.parts = parts
        self.height, self.width = (int(most) for most in np.maximum(cells.max(0) + 1, (LEAST_HIGH, LEAST_WIDE)))
        self.legend = [
            Line2D([], [], color=PATH, marker="o", markerfacecolor="white", markersize=5, label="starts here"),
            swatch(REWARDED, "paid"),
        ]

    def draw(self, ax: Axes, at: Integer[np.ndarray, " T"], left: float, top: float) -> None:
        """One episode, with the upper left corner of its room there."""
        parts = self.parts
        way = np.concatenate([parts["states"][at[:1], :2], parts["next_states"][at, :2]])
        for row, column in np.unique(way[1:][parts["rewards"][at] != 0], axis=0):
            ax.add_patch(Rectangle((left + column, top + row), 1, 1, facecolor=REWARDED, edgecolor="none", zorder=1))
        drift = DRIFT * (np.linspace(0, 1, len(way)) - 0.5)[:, None]
        points = way[:, ::-1] + 0.5 + drift + np.array([left, top])
        shades = [f"{shade:.3f}" for shade in np.linspace(0.65, float(PATH), len(at))]
        ax.add_collection(
            LineCollection(list(np.stack([points[:-1], points[1:]], 1)), colors=shades, linewidths=1.1, zorder=3)
        )
        ax.plot(*points[0], "o", markerfacecolor="white", markeredgecolor=PATH, markersize=4, zorder=4)


class _Lines:
    """Episodes as lines over their steps."""

    def __init__(self, parts: dict[str, np.ndarray], steps: int) -> None:
        after = parts["next_states"][:, 0]
        self.is_of_actions = bool((after == after[0]).all() and (parts["states"] == after[0]).all())
        self.values = parts["actions"] if self.is_of_actions else after
        self.rewards = parts["rewards"]
        self.width, self.height = max(steps, LEAST_WIDE), max(int(self.values.max()) + 1, LEAST_HIGH)
        self.gap = max(1.4, 0.12 * self.width)
        what = "action" if self.is_of_actions else "state"
        names = ("white", f"{what} of a step, 0 at the top"), (PATH, "paid")
        self.legend = [
            Line2D(
                [],
                [],
                color=EDGE,
                linewidth=0.7,
                marker="o",
                markersize=4,
                markeredgecolor=PATH,
                markerfacecolor=face,
                label=name,
            )
            for face, name in names
        ]

    def draw(self, ax: Axes, at: Integer[np.ndarray, " T"], left: float, top: float) -> None:
        """One episode, with the upper left corner of its picture there."""
        x, y = left + np.arange(len(at)) + 0.5, top + self.values[at] + 0.5
        paid = self.rewards[at] != 0
        ax.plot(x, y, color=EDGE, linewidth=0.6, zorder=2)
        for which, face in ((~paid, "white"), (paid, PATH)):
            ax.plot(
                x[which],
                y[which],
                "o",
                markerfacecolor=face,
                markeredgecolor=PATH,
                markeredgewidth=0.6,
                markersize=3,
                zorder=3,
            )


def _draw(
    ax: Axes,
    tiles: _Paths | _Lines,
    episodes: Sequence[tuple[np.ndarray, str]],
    size: tuple[float, float],
    heading: Heading,
) -> None:
    for number, (at, name) in enumerate(episodes):
        left = number % A_ROW * (tiles.width + tiles.gap)
        top = number // A_ROW * (tiles.height + tiles.gap) + tiles.gap
        ax.add_patch(
            Rectangle((left, top), tiles.width, tiles.height, fill=False, edgecolor=EDGE, linewidth=0.8, zorder=2)
        )
        ax.text(left, top - 0.15 * tiles.gap, f"episode {name}", fontsize=7, va="bottom", parse_math=False)
        tiles.draw(ax, at, left, top)
    ax.set(xlim=(-0.05, size[0] + 0.05), ylim=(size[1] + 0.05, 0), xticks=[], yticks=[])
    if isinstance(tiles, _Paths):
        ax.set_aspect("equal", anchor="NW")
    for spine in ax.spines.values():
        spine.set_visible(False)
    heading.draw(ax)
