"""Where things stand on a figure: panels placed by inches and whole pixels, lines at zones, the axis of positions."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from keepmap.drawing.parts.style import CUT_LINE, DPI, EVICTED, KEPT, SINK_LINE, WINDOW_LINE, ramp

__all__ = [
    "Boundary",
    "blank_figure",
    "boundaries",
    "half_kept",
    "kept_legend",
    "panel",
    "position_axis",
    "share_legend",
    "swatch",
    "width_in_points",
]

_DASHES = (0, (4.0, 2.5))


@dataclass(frozen=True)
class Boundary:
    """A dashed vertical line at position `x`, where a protected zone ends or starts."""

    x: int
    colour: str
    label: str

    def draw(self, axes: Sequence[Axes]) -> None:
        """Put it into every one of the axes, a little beyond their edges: zones may be narrower than the line."""
        for ax in axes:
            beyond = 4.0 / (ax.bbox.height / ax.figure.dpi * 72)
            # Thin and broken, so that the tokens under it still show.
            ax.axvline(
                self.x,
                -beyond,
                1 + beyond,
                color=self.colour,
                linewidth=1.2,
                linestyle=_DASHES,
                label=self.label,
                clip_on=False,
            )

    @property
    def handle(self) -> Line2D:
        """The entry of the line in a legend."""
        return Line2D([], [], color=self.colour, linewidth=1.4, linestyle=_DASHES, label=self.label)


def boundaries(n: int, n_sink: int, window: int, end: int | None = None) -> tuple[Boundary, ...]:
    """Blue after the sinks and orange at the window's start, each where it lies inside the n positions.

    The window ends at `end`, with the context, where that was cut once; a grey line stands there.
    """
    end = n if end is None else end
    lines = (
        Boundary(n_sink, SINK_LINE, "end of sinks"),
        Boundary(end - window, WINDOW_LINE, "start of window"),
        Boundary(end, CUT_LINE, "end of context: the one cut"),
    )
    return tuple(line for line in lines if 0 < line.x < n)


def blank_figure(width: float, height: float, label: str) -> Figure:
    """An empty white figure of that many inches, known to no window and to no pyplot."""
    return Figure(figsize=(width, height), dpi=DPI, label=label)


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at that many inches from the left and from the top, moved to whole pixels."""
    across, down = figure.get_size_inches()
    left, bottom, width, height = (round(v * DPI) / DPI for v in (left, down - top - height, width, height))
    return figure.add_axes((left / across, bottom / down, width / across, height / down))


def width_in_points(*axes: Axes) -> float:
    """The width of axes as they stand now; of several, from the left of the first to the right of all."""
    right = max(ax.bbox.x1 for ax in axes)
    return float((right - axes[0].bbox.x0) / axes[0].figure.dpi * 72)


def swatch(colour: str, label: str) -> Patch:
    """A legend's entry for a colour."""
    return Patch(facecolor=colour, edgecolor="0.4", linewidth=0.5, label=label)


def half_kept(label: str) -> Patch:
    """A legend's entry for the colour between evicted and kept."""
    return swatch(to_hex(ramp(EVICTED, KEPT)[128] / 255), label)


def kept_legend(gathered: bool) -> list[Artist]:
    """The legend's entries for kept and evicted; for cells of several positions, for a shade and the tick too."""
    if not gathered:
        return [swatch(KEPT, "kept"), swatch(EVICTED, "evicted")]
    half = half_kept("half of a cell kept")
    tick = Line2D([], [], color=KEPT, linewidth=2.0, label="tick below: any kept")
    return [swatch(KEPT, "kept"), half, swatch(EVICTED, "evicted"), tick]


def share_legend(gathered: bool) -> list[Artist]:
    """The legend's entries for the share of a token's entries that is kept; for cells of several, for the tick too."""
    colours = ramp(EVICTED, KEPT)
    entries: list[Artist] = [
        swatch(to_hex(colours[round(255 * share)] / 255), f"{share:.0%}{' of its entries kept' * (share == 1)}")
        for share in (0.0, 0.5, 1.0)
    ]
    tick = Line2D([], [], color=KEPT, linewidth=2.0, label="tick below: the most of a token")
    return [*entries, tick] if gathered else entries


def position_axis(ax: Axes, n: int) -> None:
    """The x axis of n token positions, with ticks at whole ones."""
    ax.set(xlim=(0, n), xlabel="token position")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True, steps=[1, 2, 4, 5, 8, 10]))
