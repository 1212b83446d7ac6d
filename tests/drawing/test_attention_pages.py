"""Many layers on one page: every head of every layer, ticks that do not touch, a small file."""

import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keepmap.attention.profile import AttentionProfile
from keepmap.drawing import attention_pages, save_figure
from keepmap.drawing.parts.raster import Raster
from keepmap.errors import InputError
from tests.drawing.profiles import profile_of, weights_of, words_of


@pytest.fixture(scope="module")
def profile() -> AttentionProfile:
    return profile_of(layers=8, heads=9, n=200)


def picture_of(ax: Axes) -> np.ndarray:
    (raster,) = [child for child in ax.get_children() if isinstance(child, Raster)]
    return np.asarray(raster.get_array())


def test_a_row_per_layer_and_a_panel_per_head(profile: AttentionProfile) -> None:
    axes = attention_pages(profile, layers=[1, 6])
    assert len(axes) == 18 and [ax.get_ylabel() for ax in axes[::9]] == ["layer 1", "layer 6"]
    assert "head 8" in words_of(axes[8]) and "cells of 3.12 x 3.12 pairs" in words_of(axes[0])
    for number in (0, 13):
        weights = weights_of(profile, (1, 6)[number // 9], number % 9)
        edges = np.arange(64) * 200 // 64
        largest = np.maximum.reduceat(np.maximum.reduceat(weights, edges, axis=0), edges, axis=1)
        picture = picture_of(axes[number])
        assert picture.shape[:2] == (64, 64)
        later = np.triu(np.ones((64, 64), dtype=bool), 1)
        np.testing.assert_array_equal(picture[..., 3] == 0, later)
        # Viridis grows lighter with the weight.
        light = picture[..., :3].astype(int).sum(axis=2)[~later]
        assert np.corrcoef(light, np.sqrt(largest[~later]))[0, 1] > 0.95


def test_the_axes_of_queries_and_positions_are_named(profile: AttentionProfile) -> None:
    axes = attention_pages(profile, layers=[1, 6])
    assert "200 positions · queries down, positions across" in words_of(axes[0]).replace("\n", " · ")
    corner = axes[9]
    assert [label.get_text() for label in corner.get_yticklabels()] == ["0", "199"]
    assert [label.get_text() for label in corner.get_xticklabels()] == ["0", "199"]


@pytest.mark.parametrize("heads", [9, 32])
def test_words_do_not_overprint_and_lie_on_the_page(heads: int, profile: AttentionProfile) -> None:
    small = heads > 9
    axes = attention_pages(profile_of(layers=2, heads=heads, n=16) if small else profile)
    # Beside panels without room for words stand their numbers.
    assert (axes[0].get_ylabel(), "head" in words_of(axes[8])) == (("0", False) if small else ("layer 0", True))
    assert ("a row per layer, a column per head" in words_of(axes[0])) == small
    figure = axes[0].figure
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [
        text
        for ax in figure.axes
        for text in [*ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label]
        if text.get_text() and text.get_visible()
    ]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for (a, one_box), (b, other_box) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not one_box.overlaps(other_box), (a.get_text(), b.get_text())
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_a_page_is_small(profile: AttentionProfile, tmp_path) -> None:
    (path,) = save_figure(attention_pages(profile), tmp_path, "page")
    assert path.stat().st_size < 1_500_000


def test_into_axes_of_ones_own(profile: AttentionProfile) -> None:
    grid = Figure(figsize=(6, 3)).subplots(2, 9)
    axes = attention_pages(profile, grid, layers=[0, 3], title="mine", caption=False, legend=False)
    assert axes == tuple(grid.flat) and axes[0].get_title(loc="left") == "mine"


def test_what_cannot_be_drawn(profile: AttentionProfile) -> None:
    with pytest.raises(InputError, match="layers 0, 1, 2"):
        attention_pages(profile, layers=[9])
    with pytest.raises(InputError, match="`layers` is empty"):
        attention_pages(profile, layers=[])
    with pytest.raises(InputError, match="18 Axes as `ax`|to be 18"):
        attention_pages(profile, Figure().subplots(2, 2), layers=[0, 1])
    with pytest.raises(InputError, match="viridis"):
        attention_pages(profile, cmap="virdis")
