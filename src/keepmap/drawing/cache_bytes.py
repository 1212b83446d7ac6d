"""The bytes of a cache over the tokens that it has seen, the full one's against those of caches that evict."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from keepmap.core.outside.memory import size_text
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import curve_style, figure_style
from keepmap.errors import InputError, counted
from keepmap.kv.cache.report import CacheReport

__all__ = ["cache_bytes"]

FULL: dict[str, Any] = {"color": "0.45", "linestyle": (0, (4, 2)), "linewidth": 1.2}
PEAK = "peak (right edge)"
MARK: dict[str, Any] = {"marker": "<", "markersize": 5.0, "linestyle": "none", "markeredgewidth": 0.0}
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def cache_bytes(
    reports: object,
    *,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw what a cache holds after each pass of the model, beside what the full cache would hold.

    A pass brings all of its keys before any is dropped: the peak is a mark of the same colour at the right
    edge. Where a pass brought several tokens, it ends at a dot.

    Args:
        reports: a CacheReport, or what has one: an EvictingCache, the run of an `evicting` block, a Generation. Several
            as a mapping from labels.
        title: the first line above the figure; "" for none.
        legend: whether there is a legend.
        caption: whether the bytes at the end are written under the title; a string stands there instead.
        ax: the Axes to draw into. By default a new Figure's, in the project's style whatever the user's rcParams are.

    Returns:
        The Axes drawn into, alone.

    Raises:
        InputError: no report, one of a cache that has seen nothing, or something else.

    >>> import keepmap
    >>> text = "The code of river is 4821. The code of stone is 77. " * 6
    >>> caches = {f"H2O, density {share}": keepmap.compress("tiny", text, "h2o", density=share) for share in (0.1, 0.4)}
    >>> (ax,) = keepmap.draw.cache_bytes(caches)
    >>> ax.get_xlabel()
    'tokens seen'
    """
    curves = _curves(reports)
    power = _power(max(moment.full_nbytes for report in curves.values() for moment in report.moments))
    wording = Wording("Bytes of the cache", title, legend, caption)
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        _draw(ax, curves, power)
        _heading(curves, wording, width_in_points(ax)).draw(ax)
        return (ax,)
    width, height = 6.0, 3.4
    with figure_style():
        heading = _heading(curves, wording, width * 72)
        top = heading.height + 0.1
        figure = blank_figure(width + 1.1, top + height + 0.6, heading.label)
        ax = panel(figure, 0.85, top, width, height)
        _draw(ax, curves, power)
        heading.draw(ax)
    return (ax,)


def _curves(reports: object) -> dict[str, CacheReport]:
    """Each report by its label."""
    several = reports if isinstance(reports, Mapping) else {_label(reports): reports}
    curves = {str(label): _report_of(value) for label, value in several.items()}
    if not curves:
        raise InputError("expected `reports` to be a CacheReport or several by their labels, got none")
    for report in curves.values():
        if not report.moments:
            raise InputError("expected `reports` to be of caches that have seen tokens, got one of a new cache")
    return curves


def _label(value: object) -> str:
    """What a lone one is called: a Generation says which method it is of."""
    label = getattr(value, "label", None)
    return label if isinstance(label, str) else "evicting"


def _report_of(value: object) -> CacheReport:
    # A Generation has one, a cache makes one.
    report = getattr(value, "cache", value)
    held = getattr(report, "report", None)
    report = held() if callable(held) else report
    check_kind("reports", report, CacheReport, "a CacheReport or what has one, or several by their labels")
    assert isinstance(report, CacheReport)
    return report


def _power(most: int) -> int:
    """Of 1024, so that the largest number has at most four digits."""
    return next(power for power in range(len(UNITS)) if most < 1000 * 1024**power or power == len(UNITS) - 1)


def _heading(curves: dict[str, CacheReport], wording: Wording, width: float) -> Heading:
    full = Line2D([], [], label="the full cache", **FULL)
    lines = [Line2D([], [], label=label, linewidth=1.6, **curve_style(at)) for at, label in enumerate(curves)]
    mark = Line2D([], [], label=PEAK, color="0.3", **MARK)
    longest = max(curves.values(), key=lambda report: report.tokens)
    statistics = [counted(longest.tokens, "token")]
    if len(curves) == 1:
        statistics += [f"{size_text(longest.nbytes)} at the end", f"{size_text(longest.peak_nbytes)} at the peak"]
    statistics.append(f"{size_text(longest.full_nbytes)} without eviction")
    return wording.heading(statistics, [full, *lines, mark], width)


def _draw(ax: Axes, curves: dict[str, CacheReport], power: int) -> None:
    unit = 1024.0**power
    longest = max(curves.values(), key=lambda report: report.tokens)
    ends = []
    for at, (label, report) in enumerate([("the full cache", longest), *curves.items()]):
        is_full = at == 0
        seen = [0, *(moment.tokens for moment in report.moments)]
        held = [0.0, *((moment.full_nbytes if is_full else moment.nbytes) / unit for moment in report.moments)]
        ends += held
        if is_full:
            ax.plot(seen, held, label=label, **FULL)
            continue
        style = curve_style(at - 1)
        several = [place for place in range(1, len(seen)) if seen[place] - seen[place - 1] > 1]
        ax.plot(seen, held, label=label, linewidth=1.6, marker=".", markevery=several, **style)
        ends.append(report.peak_nbytes / unit)
        ax.plot([1.015], [ends[-1]], color=style["color"], transform=ax.get_yaxis_transform(), clip_on=False, **MARK)
    ax.set(xlim=(0, longest.tokens), ylim=(0, max(ends) * 1.06))
    ax.set(xlabel="tokens seen", ylabel=f"keys, values and bookkeeping ({UNITS[power]})")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 2.5, 5, 10]))
    ax.spines[["top", "right"]].set_visible(False)
