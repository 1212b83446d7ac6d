"""What stands above a figure: a title, what was measured, and the legend, each as the caller wants it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from keepmap.core.arguments import shown
from keepmap.errors import InputError, escaped

__all__ = ["Heading", "Wording"]

_LINE = 14.0
"""Points from one line of text to the next."""

_BETWEEN = " · "


@dataclass(frozen=True)
class Wording:
    """What a caller wants above a figure: the three keywords that every figure has.

    Attributes:
        default: the figure's own title.
        title: another one; None for the figure's own, "" for none.
        legend: whether there is a legend.
        caption: whether there are the figure's own statistics, or words that stand in their place.
    """

    default: str
    title: str | None = None
    legend: bool = True
    caption: bool | str = True

    def __post_init__(self) -> None:
        for name, value, types, what in (
            ("title", self.title, str | None, "a string or None"),
            ("legend", self.legend, bool, "True or False"),
            ("caption", self.caption, bool | str, "True, False or a string"),
        ):
            if not isinstance(value, types):
                raise InputError(f"expected `{name}` to be {what}, got {shown(value)}")

    def heading(
        self, statistics: Sequence[str], legend: Sequence[Artist], width: float, lift: float = 0.0
    ) -> "Heading":
        """What stands above axes that are `width` points wide, and `lift` points above them.

        The figure's label says what was drawn, whether that is shown or not.
        """
        statistics = self.caption.split(_BETWEEN) if isinstance(self.caption, str) and self.caption else statistics
        # Names come from files: here is where they enter a figure.
        statistics = [escaped(words) for words in statistics]
        for entry in legend:
            entry.set_label(escaped(str(entry.get_label())))
        return Heading(
            title=escaped(self.default if self.title is None else self.title),
            statistics=statistics if self.caption else (),
            legend=legend if self.legend else None,
            width=width,
            lift=lift,
            label=_BETWEEN.join((escaped(self.title or self.default), *statistics)),
        )


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A title, a line of statistics under it and a legend, wrapped to the width that they stand above.

    Attributes:
        title: the first line, bold; "" for none.
        statistics: what was measured; wrapped between its parts only.
        legend: the legend's entries; None for no legend.
        width: the width of the axes below, in points.
        lift: what stands between the axes and the legend, in points.
        label: what the figure shows in one line, for its file.
    """

    title: str
    statistics: Sequence[str]
    legend: Sequence[Artist] | None
    width: float
    lift: float
    label: str

    @property
    def height(self) -> float:
        """Inches that it needs above the axes."""
        return (self.lift + (len(self._title_lines) + self._rows_below_title) * _LINE + 12) / 72

    def draw(self, ax: Axes) -> None:
        """Put it above `ax`, in figure or user axes alike."""
        if self.legend is not None:
            self._draw_legend(ax, self.legend)
        above_legend = self.lift + self._legend_rows * _LINE + 7
        if self.statistics:
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
        if self.title:
            title = ax.set_title("\n".join(self._title_lines), loc="left", pad=above_statistics, fontsize=11)
            title.set(fontweight="bold", parse_math=False)

    def _draw_legend(self, ax: Axes, entries: Sequence[Artist]) -> None:
        legend = ax.legend(
            handles=list(entries),
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
        for text in legend.get_texts():
            text.set_parse_math(False)  # in a user's Axes their own settings hold

    @property
    def _title_lines(self) -> list[str]:
        return textwrap.wrap(self.title, max(10, int(self.width / 7.2)))

    @property
    def _statistics_lines(self) -> list[str]:
        unbroken = _BETWEEN.join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in self.statistics)
        lines = textwrap.wrap(unbroken, max(10, int(self.width / 5.3)), break_long_words=False)
        return [line.replace("\N{NO-BREAK SPACE}", " ").removesuffix(" ·").removeprefix("· ") for line in lines]

    @property
    def _legend_columns(self) -> int:
        widths = [35 + 5.3 * len(str(entry.get_label())) for entry in self.legend or ()]
        return max(1, len(widths) if sum(widths) <= self.width else int(self.width / max(widths)))

    @property
    def _legend_rows(self) -> int:
        return -(-len(self.legend or ()) // self._legend_columns)

    @property
    def _rows_below_title(self) -> int:
        return self._legend_rows + len(self._statistics_lines)
