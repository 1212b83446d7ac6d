"""Pictures of attention into small Axes of somebody else, and what other tests of them leave open."""

import dataclasses

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keepmap.attention.profiling import profile_attention
from keepmap.core.html import strip
from keepmap.drawing import attention_grid, attention_heatmap, attention_lines, attention_summary
from keepmap.drawing.attention_grid import _short
from keepmap.drawing.parts.marks import Marks, positions_of, shown
from keepmap.drawing.parts.raster import Raster
from tests.core.test_html import pictures
from tests.drawing.profiles import Chosen, marked, profile_of

TOKENS = tuple(f" word{number}" for number in range(12))


def on_the_figure(ax: Axes) -> None:
    """Everything around the Axes lies on their figure, and the title does."""
    canvas, around = ax.figure.bbox, ax.get_tightbbox()
    assert around is not None
    assert around.x0 >= canvas.x0 and around.y0 >= canvas.y0 and around.y1 <= canvas.y1
    right = [ax.bbox.x1, *(child.get_tightbbox().x1 for child in ax.child_axes)]  # type: ignore[union-attr]
    assert max(right) <= canvas.x1


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


def test_a_summary_of_a_small_figure_has_its_title() -> None:
    axes = Figure(figsize=(6, 6)).subplots(2, 2).ravel()
    statistics = [profile_of(seed=seed, layers=1).seed_statistics(0) for seed in range(5)]
    attention_summary(statistics, axes, title="x")
    assert axes[0].get_tightbbox().y1 <= axes[0].figure.bbox.y1
    assert axes[2].bbox.height == pytest.approx(axes[0].bbox.height)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (0.21649, "0.216"),
        (0.0123, "0.012"),
        (0.00791, "0.008"),
        (0.000105, "1e-04"),
        (2.44e-6, "2e-06"),
        (1.236, "1.24"),
        (99.96, "100"),
        (999.4, "999"),
        (999.6, "1000"),
        (23456.7, "23457"),
        (123456.0, "1e+05"),
    ],
)
def test_numbers_are_as_short_as_their_cells(value: float, said: str) -> None:
    assert _short(value) == said


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 2), (4, 4), (12, 12)])
def test_numbers_lie_inside_of_their_cells_and_the_figure_is_not_half_empty(layers: int, heads: int) -> None:
    profile = profile_of(layers=layers, heads=heads, n=30)
    sinks = profile.sink_mass * torch.logspace(-5, 0, heads)[None, :, None]
    ax = attention_grid(dataclasses.replace(profile, sink_mass=sinks), what="sink_mass")
    for text in (one for one in ax.texts if one.get_ha() == "center"):
        box = text.get_window_extent()
        assert box.width < 0.9 * ax.bbox.width / heads and box.height < ax.bbox.height / layers
    assert ax.bbox.width >= 0.6 * ax.figure.bbox.width
    assert ax.figure.axes[1].get_tightbbox().x1 <= ax.figure.bbox.x1
    on_the_figure(ax)


def test_numbers_stand_out_from_their_cells() -> None:
    profile = profile_of(heads=2, layers=1)
    entropy = torch.stack([torch.full((1, 50), 0.1), torch.full((1, 50), 3.0)], dim=1)
    dark, light = attention_grid(dataclasses.replace(profile, entropy=entropy)).texts[:2]
    assert (dark.get_color(), light.get_color()) == ("1.0", "0.0")


def test_a_mean_hides_only_what_no_head_sees() -> None:
    from keepmap.drawing.attention_heatmap import _Head, _mean

    hidden = [np.array([[True, False], [True, True]]), np.array([[True, True], [False, True]])]
    mean = _mean([_Head("a", np.ones((2, 2)), one) for one in hidden])
    np.testing.assert_array_equal(mean.hidden, [[True, False], [False, True]])


def test_a_pixel_of_which_anything_is_seen_is_not_hidden() -> None:
    ax = Figure(figsize=(1, 1), dpi=50).add_subplot()
    attention_heatmap(profile_of(n=200, heads=1), ax)
    (picture,) = [np.asarray(one.get_array()) for one in ax.get_children() if isinstance(one, Raster)]
    height, width = picture.shape[:2]
    assert max(height, width) < 60
    for row in range(height):  # its last query sees itself
        last = ((row + 1) * 200 // height - 1) * width // 200
        assert (picture[row, : last + 1, 3] == 255).all()


def test_the_legend_stands_above_the_heads_name() -> None:
    ax = attention_heatmap(profile_of(heads=1))
    assert isinstance(ax, Axes)
    name = next(text for text in ax.texts if text.get_text() == "head 0")
    legend = ax.get_legend()
    assert legend is not None and legend.get_window_extent().y0 >= name.get_window_extent().y1


def test_every_so_many_episodes_are_counted_from_the_first_whole_one() -> None:
    profile = marked(profile_of(n=400, heads=1), length=4, offset=0)
    marks = Marks.of(profile, 450.0, "0.5")
    assert marks.every == 2 and marks.starts[:3].tolist() == [8, 16, 24]


def test_limits_of_tokens() -> None:
    assert positions_of(profile_of(n=40, heads=1, labels=("a",) * 40), most=5).tokens
    assert not positions_of(profile_of(n=41, heads=1, labels=("a",) * 41), most=5).tokens
    assert shown("x" * 14) == "x" * 14 and shown("x" * 15) == "x" * 13 + "…"


def test_outer_labels_of_an_agent_grow_inwards() -> None:
    ax = attention_heatmap(marked(profile_of(n=60, heads=1)))
    assert isinstance(ax, Axes)
    labels = ax.get_xticklabels()
    assert labels[0].get_horizontalalignment() == "left" and labels[-1].get_horizontalalignment() == "right"


@pytest.mark.parametrize(("n", "scale"), [(256, "linear"), (257, "function")])
def test_long_contexts_begin_beyond_256(n: int, scale: str) -> None:
    left, _ = attention_lines(profile_of(n=n, heads=1, layers=1, queries="last"))  # type: ignore[misc]
    assert left.get_yscale() == scale


def test_cells_of_long_lines_stand_at_their_middle() -> None:
    from keepmap.drawing.attention_lines import _points

    x, y = _points(np.arange(4000, dtype=np.float64))
    assert x[:4].tolist() == [1.5, 1.5, 5.5, 5.5] and y[:4].tolist() == [0.0, 3.0, 4.0, 7.0]


def test_little_is_told_from_nothing_and_nan_is_transparent() -> None:
    (picture,) = pictures(strip(np.array([[0.0, 0.001, 1.0, np.nan]]), "x", ("#000000", "#ffffff")))
    assert picture[0, :3, 0].tolist() == sorted(set(picture[0, :3, 0].tolist()))
    assert picture[0, 0, 0] == 0 and picture[0, 2, 0] == 255
    assert picture[0, :, 3].tolist() == [255, 255, 255, 0]


def test_a_square_picture_is_as_wide_as_its_columns() -> None:
    page = strip(np.ones((2, 5)), "x", square=True)
    assert "width:60px;max-width:100%;height:24px" in page
    assert "width:100%;height:24px" in strip(np.ones((2, 5)), "x")


def test_one_logit_too_many_is_no_other_cell() -> None:
    logits = torch.zeros(21, 21)
    logits[20, 9] = 9.0
    found = profile_attention(Chosen(logits), None).map(0, 0, 4)
    assert np.unravel_index(found.maximum.argmax(), (4, 4))[1] in (0, 1)
    assert found.maximum[3, 1] == pytest.approx(1.0, abs=0.01)
