"""What methods cost against the memory that they hold, a line for each method over comparisons at several densities."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from keepmap.core.labels import model_label
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import figure_style, marked_style
from keepmap.errors import InputError, counted
from keepmap.kv.comparison import Comparison, MethodResult

__all__ = ["cost_by_footprint"]

LINEAR_BELOW = 0.01
"""Nats: costs smaller than that, and negative ones, are on a linear part of the axis."""
COSTS = (-1.0, -0.1, -0.01, 0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
FOOTPRINTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
HIDDEN = ("baseline", "random_validation")
APART = 3.0
"""Points between the marks of two methods that hold the same."""


def cost_by_footprint(
    comparisons: Comparison | Sequence[Comparison],
    *,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw each method's ΔNLL, in nats per token with its 95 % interval, against the memory it held on average.

    Memory is the footprint: the mean number of cache entries, as a share of what is held without eviction. Lower and
    further left is better. Both axes are logarithmic; costs below 0.01 nats are on a linear part.

    Args:
        comparisons: of the same model and texts, at several densities; one comparison gives a point for each method.
        title: the first line above the figure; by default the model's label, "" for none.
        legend: whether there is a legend.
        caption: whether the number of texts and tokens is written under the title; a string stands there instead.
        ax: the Axes to draw into. By default a new Figure's, in the project's style whatever the user's rcParams are.

    Returns:
        The Axes drawn into, alone.

    Raises:
        InputError: no comparison, or comparisons of several models or of other texts.

    >>> import keepmap
    >>> text = "The code of river is 4821. The code of stone is 77. " * 6
    >>> several = [
    ...     keepmap.compare("tiny", text, "random streaming_llm", density=density, window=16)
    ...     for density in (0.2, 0.5)
    ... ]
    >>> (ax,) = keepmap.draw.cost_by_footprint(several)
    >>> ax.get_xlabel()
    'cache entries held on average (% of the full cache)'
    """
    several = [comparisons] if isinstance(comparisons, Comparison) else comparisons
    check_kind("comparisons", several, Sequence, "a Comparison or several")
    for comparison in several:
        check_kind("comparisons", comparison, Comparison, "a Comparison or several")
    _check_alike(several)
    curves = _curves(several)
    model = model_label(several[0].configuration.get("model_name"))
    wording = Wording(f"What evicting costs · {model}", title, legend, caption)
    if ax is not None:
        (ax,) = given_axes(ax, 1)
        _draw(ax, curves)
        _heading(several[0], curves, wording, width_in_points(ax)).draw(ax)
        return (ax,)
    width, height = 6.0, 4.0
    with figure_style():
        heading = _heading(several[0], curves, wording, width * 72)
        top = heading.height + 0.1
        figure = blank_figure(width + 1.1, top + height + 0.6, heading.label)
        ax = panel(figure, 0.85, top, width, height)
        _draw(ax, curves)
        heading.draw(ax)
    return (ax,)


def _check_alike(comparisons: Sequence[Comparison]) -> None:
    """Costs on different texts, or of different models, cannot stand in one picture.

    Raises:
        InputError: none, or they are not alike; says in what.
    """
    if not comparisons:
        raise InputError("expected `comparisons` to be a Comparison or several, got none")
    for what, values in (
        ("model", {str(comparison.configuration.get("model_name")) for comparison in comparisons}),
        ("number of samples", {comparison.baseline.n_samples for comparison in comparisons}),
        ("number of tokens", {comparison.baseline.total_tokens for comparison in comparisons}),
        ("NLL of the full cache", {round(comparison.baseline.avg_nll, 6) for comparison in comparisons}),
    ):
        if len(values) > 1:
            some = " and ".join(str(value) for value in sorted(values, key=str)[:2])
            raise InputError(f"expected `comparisons` to be of one model and the same texts, got the {what} {some}")


def _curves(comparisons: Sequence[Comparison]) -> dict[str, list[MethodResult]]:
    """Each method's rows, from the smallest footprint to the largest; the cheapest method at the smallest first."""
    curves: dict[str, list[MethodResult]] = {}
    for comparison in comparisons:
        for row in comparison.methods:
            if row.method_key not in HIDDEN:
                curves.setdefault(row.method, []).append(row)
    if not curves:
        raise InputError("expected `comparisons` to have methods, got the baselines alone; compare some methods")
    for rows in curves.values():
        rows.sort(key=lambda row: row.footprint)
    return dict(sorted(curves.items(), key=lambda curve: (curve[1][0].nll_delta, curve[0])))


def _heading(comparison: Comparison, curves: dict[str, list[MethodResult]], wording: Wording, width: float) -> Heading:
    lines = [Line2D([], [], label=name, **marked_style(number)) for number, name in enumerate(curves)]
    n = comparison.baseline.n_samples
    has_interval = all(row.nll_delta_low is not None for rows in curves.values() for row in rows)
    statistics = [
        f"{counted(n, 'text')}, {comparison.baseline.total_tokens:,} predicted tokens",
        "ΔNLL against the full cache" + f", 95 % interval over texts (n={n})" * has_interval,
        *(["methods that hold the same are drawn side by side"] if len(curves) > 1 else []),
    ]
    return wording.heading(statistics, lines, width)


def _draw(ax: Axes, curves: dict[str, list[MethodResult]]) -> None:
    ends = [0.0]
    for number, (name, rows) in enumerate(curves.items()):
        low = [row.nll_delta if row.nll_delta_low is None else row.nll_delta_low for row in rows]
        high = [row.nll_delta if row.nll_delta_high is None else row.nll_delta_high for row in rows]
        ends += [*low, *high]
        costs = [row.nll_delta for row in rows]
        reach = [
            [max(0.0, cost - end) for cost, end in zip(costs, low, strict=True)],
            [max(0.0, end - cost) for cost, end in zip(costs, high, strict=True)],
        ]
        footprints = [100 * row.footprint for row in rows]
        bars = ax.errorbar(
            footprints, costs, yerr=reach, label=name, capsize=1.5, elinewidth=0.6, **marked_style(number)
        )
        # Methods of one density hold the same: side by side, their intervals are seen.
        aside = ScaledTranslation((number - (len(curves) - 1) / 2) * APART / 72, 0, ax.figure.dpi_scale_trans)
        for artist in bars.get_children():
            artist.set_transform(artist.get_transform() + aside)
    ax.axhline(0.0, color="0.35", linewidth=1.0, linestyle=(0, (2, 2)))
    held = [100 * row.footprint for rows in curves.values() for row in rows]
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=LINEAR_BELOW, linscale=0.5)
    left, right = min(held) / 1.15, min(100.0, max(held)) * 1.15
    bottom, top = min(ends) * 1.3 - 0.002, max(ends) * 1.3 + 0.002
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set(xlabel="cache entries held on average (% of the full cache)", ylabel="ΔNLL (nats per token)")
    shown = [100 * share for share in FOOTPRINTS if left <= 100 * share <= right]
    ax.xaxis.set_major_locator(FixedLocator(shown) if len(shown) > 2 else MaxNLocator(4))
    ax.yaxis.set_major_locator(FixedLocator([cost for cost in COSTS if bottom <= cost <= top]))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.spines[["top", "right"]].set_visible(False)
