"""What agents earn under each compressor: trained with one, run with another."""

import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Patch

from keepmap.agents.evaluation.transfer import Transfer
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.raster import Raster
from keepmap.drawing.parts.style import figure_style
from keepmap.errors import counted, escaped

__all__ = ["transfer_matrix"]

CELL = 0.75, 0.42  # inches
LETTER = 0.073


def transfer_matrix(
    transfer: Transfer,
    *,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> Axes:
    """Draw the normalised return of every pair: trained with one compressor, run with another.

    An agent has a row, by what shortened its histories in training, and a compressor that shortens them now a column.
    The lightest cells earn what the best agent earns, the darkest what a random one does.

    Args:
        transfer: what `keepmap.transfer` gives.
        title: the first line above the figure; by default "Trained with one, run with another", "" for none.
        legend: whether there is a legend of the colours.
        caption: whether episodes and goals are written under the title; a string stands there instead.
        ax: the Axes to draw into. By default a new Figure's.

    Returns:
        The Axes drawn into.

    Raises:
        InputError: it is no Transfer.

    >>> import keepmap
    >>> ax = keepmap.draw.transfer_matrix(keepmap.transfer(["tiny"], ["none", "recency"], episodes=4))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['none', 'recency, at most 10']
    """
    check_kind("transfer", transfer, Transfer, "a Transfer")
    wording = Wording("Trained with one, run with another", title, legend, caption)
    first, last = transfer.episodes
    statistics = [f"normalised return of episodes {first} to {last}", f"mean over {counted(transfer.goals, 'goal')}"]
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        _draw(ax, transfer, wording.heading(statistics, _ends(), width_in_points(ax)))
        return ax
    rows, columns = transfer.mean.shape
    beside, below = (0.5 + LETTER * max(map(len, names)) for names in (transfer.trained, transfer.acting))
    width, height = max(CELL[0] * columns, 3.2), max(CELL[1] * rows, 0.5)
    with figure_style():
        heading = wording.heading(statistics, _ends(), width * 72)
        top = heading.height + 0.1
        figure = blank_figure(beside + width + 0.2, top + height + below, heading.label)
        ax = panel(figure, beside, top, width, height)
        _draw(ax, transfer, heading)
    return ax


def _ends() -> list[Patch]:
    """What the darkest and the lightest colour stand for."""
    colours = matplotlib.colormaps["viridis"]
    return [Patch(color=colours(0.0), label="0: a random agent"), Patch(color=colours(1.0), label="1: the best agent")]


def _draw(ax: Axes, transfer: Transfer, heading: Heading) -> None:
    rows, columns = transfer.mean.shape
    colours = ScalarMappable(Normalize(0.0, 1.0), matplotlib.colormaps["viridis"])
    picture = colours.to_rgba(transfer.mean, bytes=True)

    def paint(width: int, height: int) -> UInt8[np.ndarray, "A C 4"]:
        return picture

    Raster(ax, paint, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    ax.set_yticks(range(rows), [*map(escaped, transfer.trained)], parse_math=False)
    ax.set_xticks(range(columns), [*map(escaped, transfer.acting)], rotation=90, parse_math=False)
    ax.set_ylabel("trained with", fontsize=9)
    ax.set_xlabel("run with", fontsize=9)
    ax.tick_params(length=0, labelsize=8)
    for (row, column), value in np.ndenumerate(transfer.mean):
        light = np.dot(picture[row, column, :3], (0.299, 0.587, 0.114)) > 128
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color="0.0" if light else "1.0")
    heading.draw(ax)
