"""Where things stand on a figure: panels placed by inches and whole pixels, the title and the legend above them."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from keepmap.drawing.parts.style import DPI, EVICTED, KEPT, SINK_LINE, WINDOW_LINE, ramp

__all__ = [
    "Boundary",
    "Heading",
    "blank_figure",
    "boundaries",
    "kept_legend",
    "panel",
    "position_axis",
    "swatch",
    "width_in_points",
]

_LINE = 14.0
"""Points from one line of text to the next."""

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
        """The legend's entry."""
        return Line2D([], [], color=self.colour, linewidth=1.4, linestyle=_DASHES, label=self.label)


def boundaries(n: int, n_sink: int, window: int) -> tuple[Boundary, ...]:
    """Blue after the sinks and orange at the window's start, each where it lies inside the n positions."""
    lines = (
        Boundary(n_sink, SINK_LINE, "end of sinks"),
        Boundary(n - window, WINDOW_LINE, "start of window"),
    )
    return tuple(line for line in lines if 0 < line.x < n)


@dataclass(frozen=True)
class Heading:
    """A title, a line of statistics under it and a legend, wrapped to the width that they stand above.

    Attributes:
        title: the first line, bold.
        statistics: what was measured; wrapped between its parts only.
        legend: the legend's entries.
        width: the width of the axes below, in points.
        lift: what stands between the axes and the legend, in points.
    """

    title: str
    statistics: Sequence[str]
    legend: Sequence[Artist]
    width: float
    lift: float = 0.0

    @property
    def height(self) -> float:
        """Inches that it needs above the axes."""
        return (self.lift + (len(self._title_lines) + self._rows_below_title) * _LINE + 12) / 72

    def draw(self, ax: Axes) -> None:
        """Put it above `ax`, in figure or user axes alike."""
        ax.legend(
            handles=list(self.legend),
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            bbox_transform=ax.transAxes + ScaledTranslation(0, self.lift / 72, ax.figure.dpi_scale_trans),
            ncols=self._legend_columns,
            frameon=False,
            fontsize=9,
            borderaxespad=0.4,
            borderpad=0.0,
            handlelength=1.6,
            columnspacing=1.4,
            labelspacing=0.3,
        )
        above_legend = self.lift + self._legend_rows * _LINE + 7
        ax.annotate(
            "\n".join(self._statistics_lines),
            (0, 1),
            (0, above_legend),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=9,
            va="bottom",
            parse_math=False,
        )
        above_statistics = above_legend + len(self._statistics_lines) * _LINE
        title = ax.set_title("\n".join(self._title_lines), loc="left", pad=above_statistics, fontsize=11)
        title.set(fontweight="bold", parse_math=False)

    @property
    def _title_lines(self) -> list[str]:
        return textwrap.wrap(self.title, max(10, int(self.width / 7.2))) or [""]

    @property
    def _statistics_lines(self) -> list[str]:
        unbroken = " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in self.statistics)
        lines = textwrap.wrap(unbroken, max(10, int(self.width / 5.3)), break_long_words=False)
        return [line.replace("\N{NO-BREAK SPACE}", " ").removesuffix(" ·").removeprefix("· ") for line in lines]

    @property
    def _legend_columns(self) -> int:
        widths = [35 + 5.3 * len(str(entry.get_label())) for entry in self.legend]
        return max(1, len(widths) if sum(widths) <= self.width else int(self.width / max(widths)))

    @property
    def _legend_rows(self) -> int:
        return -(-len(self.legend) // self._legend_columns)

    @property
    def _rows_below_title(self) -> int:
        return self._legend_rows + len(self._statistics_lines)


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


def kept_legend(gathered: bool) -> list[Artist]:
    """The legend's entries for kept and evicted; for cells of several positions, for a shade and the tick too."""
    if not gathered:
        return [swatch(KEPT, "kept"), swatch(EVICTED, "evicted")]
    half = swatch(to_hex(ramp(EVICTED, KEPT)[128] / 255), "half of a cell kept")
    tick = Line2D([], [], color=KEPT, linewidth=2.0, label="tick below: any kept")
    return [swatch(KEPT, "kept"), half, swatch(EVICTED, "evicted"), tick]


def position_axis(ax: Axes, n: int) -> None:
    """The x axis of n token positions, with ticks at whole ones."""
    ax.set(xlim=(0, n), xlabel="token position")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True, steps=[1, 2, 4, 5, 8, 10]))
