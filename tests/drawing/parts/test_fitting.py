"""Room for what stands around somebody else's Axes: it lies on the figure, in the room that the Axes had."""

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keepmap.drawing import attention_grid, attention_heatmap, attention_lines
from keepmap.drawing.parts.fitting import colour_bar_axes, fit_into_figure
from tests.drawing.profiles import marked, on_the_figure, profile_of

TOKENS = tuple(f" word{number}" for number in range(12))


def small() -> Axes:
    return Figure(figsize=(4, 4)).add_subplot()


@pytest.mark.parametrize("kind", ["numbers", "marks", "tokens", "grid", "lines"])
def test_everything_lies_on_a_small_figure(kind: str) -> None:
    ax = small()
    given = ax.bbox.frozen()
    if kind == "grid":
        attention_grid(profile_of(layers=4, n=60), ax, what="sink_mass", title="x")
    elif kind == "lines":
        attention_lines(marked(profile_of(n=60)), ax, title="x")
    else:
        profile = profile_of(n=12, labels=TOKENS) if kind == "tokens" else profile_of(n=60)
        attention_heatmap(marked(profile) if kind == "marks" else profile, ax, heads=0, title="x")
    on_the_figure(ax)
    assert ax.get_title(loc="left") == "x"
    assert given.x0 <= ax.bbox.x0 + 1e-6 and ax.bbox.x1 <= given.x1 + 1e-6
    assert ax.bbox.height >= 0.25 * given.height and ax.bbox.width >= 0.5 * given.width
    assert ax.get_in_layout()


def test_axes_side_by_side_stay_alike_and_apart() -> None:
    axes = Figure(figsize=(8, 4)).subplots(1, 2)
    attention_heatmap(profile_of(), axes, heads=[0, 1], title="x")
    for ax in axes:
        on_the_figure(ax)
    assert axes[0].bbox.size == pytest.approx(axes[1].bbox.size)
    assert axes[0].bbox.y0 == pytest.approx(axes[1].bbox.y0)
    below = Figure(figsize=(6, 4)).subplots(1, 3)
    given = below[0].bbox.frozen()
    attention_heatmap(profile_of(), below[0], heads=0, title="x")
    assert below[0].child_axes[0].get_tightbbox().x1 <= given.x1 + 1


def test_a_layout_engine_makes_the_room_itself() -> None:
    ax = Figure(figsize=(4, 4), layout="constrained").add_subplot()
    given = ax.get_position().frozen()
    attention_heatmap(profile_of(), ax, heads=0, title="x")
    assert ax.get_position().bounds == given.bounds
    ax.figure.draw_without_rendering()
    on_the_figure(ax)


def test_a_colour_bar_stands_beside_its_axes_and_both_fit() -> None:
    ax = small()
    before = ax.bbox.frozen()
    bar = colour_bar_axes(ax)
    bar.set_ylabel("words beside the bar")
    bar.yaxis.set_label_position("right")
    fit_into_figure([ax])
    ax.figure.draw_without_rendering()  # an inset follows its Axes when it is drawn
    assert bar.bbox.x0 > ax.bbox.x1
    assert ax.bbox.width < before.width
    assert bar.get_tightbbox().x1 <= before.x1 + 1  # type: ignore[union-attr]


def test_axes_keep_some_room_whatever_stands_around_them() -> None:
    ax = small()
    before = ax.bbox.frozen()
    ax.set_ylabel("\n".join(["a line"] * 60))
    fit_into_figure([ax])
    assert ax.bbox.width == pytest.approx(0.3 * before.width, rel=0.01)
