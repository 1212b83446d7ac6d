"""The map by layer, by its data and by its pixels."""

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keepmap.core.keep_map import KeepMap
from keepmap.drawing import keep_map_by_layer
from keepmap.drawing.parts.style import CUT_LINE, EVICTED, KEPT, SINK_LINE, WINDOW_LINE
from keepmap.errors import InputError
from keepmap.kv.choosing import Budget, Protection, Threshold
from tests.drawing.maps import budgeted, cut_once, is_colour, map_of, panel_of, random_scores, rgb


def rows_of(ax: Axes, keep_map: KeepMap) -> list[np.ndarray]:
    """The pixels of each row: what lies between the white gaps, cut into heads."""
    picture = panel_of(ax)
    layers, heads, _ = keep_map.shape
    white = (picture > 250).all(axis=2).mean(axis=1) > 0.9
    edges = np.flatnonzero(np.diff(np.concatenate([[True], white, [True]]).astype(int)))
    blocks = [picture[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    assert len(blocks) == layers
    return [head for block in blocks for head in np.array_split(block, heads)]


def test_every_entry_has_its_colour() -> None:
    keep_map = budgeted(600)
    ax = keep_map_by_layer(keep_map)[0]
    rows, mask = rows_of(ax, keep_map), keep_map.kept().reshape(-1, 600).numpy()
    assert len(rows) == len(mask)
    away_from_lines = [j for j in range(600) if min(abs(j - 4), abs(j - 472)) > 3]
    for row, kept in zip(rows, mask, strict=True):
        middle = ((np.arange(600) + 0.5) * row.shape[1] / 600).astype(int)
        for y in (2, len(row) // 2, len(row) - 3):
            shown = row[y, middle]
            np.testing.assert_array_equal((shown == rgb(KEPT)).all(-1)[away_from_lines], kept[away_from_lines])
            np.testing.assert_array_equal((shown == rgb(EVICTED)).all(-1)[away_from_lines], ~kept[away_from_lines])


@pytest.mark.parametrize("position", [0, 1, 5000, 16382, 16383])
def test_a_lone_entry_among_16384_has_a_tick_of_its_own(position: int) -> None:
    scores = torch.zeros(4, 8, 16384)
    scores[2, 5, position] = 1.0
    keep_map = map_of(scores, Threshold(0.5), Protection(0, 0))
    rows = rows_of(keep_map_by_layer(keep_map)[0], keep_map)
    for k, row in enumerate(rows):
        ticks = is_colour(row, KEPT)
        assert ticks.any() == (k == 2 * 8 + 5)
    cell = position * 2048 // 16384
    np.testing.assert_array_equal(is_colour(rows[21], KEPT).any(axis=0).nonzero()[0], [cell])


def test_the_shade_of_a_cell_is_the_share_kept() -> None:
    scores = torch.zeros(1, 1, 8000)
    for cell, kept in enumerate((0, 1, 2, 3, 4)):
        scores[0, 0, cell * 4 : cell * 4 + kept] = 1.0
    keep_map = map_of(scores, Threshold(0.5), Protection(0, 0))
    row = rows_of(keep_map_by_layer(keep_map, max_columns=2000)[0], keep_map)[0]
    column = ((np.arange(5) + 0.5) * row.shape[1] / 2000).astype(int)
    shades = row[2, column].astype(int)
    assert (shades[0] == rgb(EVICTED)).all()
    assert (shades[4] == rgb(KEPT)).all()
    assert (np.diff(shades[:, 1]) > 0).all()
    assert (np.diff(shades[:, 2]) > 0).all()


def test_lines_labels_and_densities() -> None:
    keep_map = budgeted(600)
    main, zones, densities = keep_map_by_layer(keep_map)
    assert {line.get_color(): line.get_xdata()[0] for line in main.get_lines()} == {SINK_LINE: 4, WINDOW_LINE: 472}
    assert [label.get_text() for label in main.get_yticklabels()] == ["0", "1"]
    assert [label.get_text() for label in main.get_yticklabels(minor=True)] == ["0", "1", "2"] * 2
    assert main.get_xlabel() == "token position"
    assert {text.get_text() for text in zones.texts} == {"sinks: first 4", "window: last 128"}
    assert densities.get_xlabel() == "median age of\nwhat is kept"
    uneven = map_of(random_scores(2, 3, 600), Threshold(0.8))
    bars = [bar.get_width() for bar in keep_map_by_layer(uneven)[2].patches][6:]
    np.testing.assert_allclose(bars, uneven.kept().double().mean(2).ravel().numpy())
    assert main.get_title(loc="left") == "KeyNorm · density 0.2"
    assert any(f"entries kept: {keep_map.density():.2%}" in text.get_text() for text in main.texts)


def test_a_context_that_was_cut_once_has_its_window_before_the_cut() -> None:
    main, zones, _ = keep_map_by_layer(cut_once(600, 450))
    lines = {line.get_color(): line.get_xdata()[0] for line in main.get_lines()}
    assert lines == {SINK_LINE: 4, WINDOW_LINE: 450 - 128, CUT_LINE: 450}
    assert [text.get_text() for text in zones.texts][1] == "last 128 of the context, and all after it"
    assert [(patch.get_x(), patch.get_width()) for patch in zones.patches][1] == (322, 278)
    assert any("compressible kept: 25." in text.get_text() for text in main.texts)


def test_a_large_model_has_a_label_and_a_number_for_every_layer() -> None:
    scores = random_scores(32, 8, 16384)
    keep_map = map_of(scores, Threshold(0.8))
    main, _, densities = keep_map_by_layer(keep_map)
    assert [label.get_text() for label in main.get_yticklabels()] == [str(layer) for layer in range(32)]
    assert len(densities.texts) == 32
    rows = rows_of(main, keep_map)
    assert len(rows) == 256
    assert main.figure.bbox.height < 2200


@pytest.mark.parametrize(
    ("n", "protection"),
    [(1, Protection(0, 0)), (1, Protection(4, 128)), (90, Protection(4, 128)), (300, Protection(0, 0))],
)
def test_one_layer_one_head_and_short_texts(n: int, protection: Protection) -> None:
    keep_map = map_of(random_scores(1, 1, n), Budget(density=0.3), protection)
    main, zones, _ = keep_map_by_layer(keep_map)
    (row,) = rows_of(main, keep_map)
    kept = keep_map.kept()[0, 0].numpy()
    middle = ((np.arange(n) + 0.5) * row.shape[1] / n).astype(int)
    np.testing.assert_array_equal(is_colour(row[8:9, middle], KEPT)[0], kept)
    assert len(zones.texts) == (protection.n_sink > 0) + (protection.window > 0)


def test_given_axes_hold_the_rows_alone() -> None:
    figure = Figure(figsize=(5, 4), dpi=100, layout="constrained")
    ax = figure.add_subplot()
    assert keep_map_by_layer(budgeted(), ax=ax) == (ax,)
    assert figure.axes == [ax]
    assert len(rows_of(ax, budgeted())) == 6


def test_a_lone_entry_survives_small_axes() -> None:
    scores = torch.zeros(6, 2, 4000)
    scores[3, 1, 1234] = 1.0
    keep_map = map_of(scores, Threshold(0.5), Protection(0, 0))
    for height in range(60, 90, 4):
        figure = Figure(figsize=(6, 4), dpi=100)
        ax = figure.add_axes((0.1, 0.1, 0.7, 0.7))
        keep_map_by_layer(keep_map, ax=ax)
        ax.set_position((0.1, 0.1, 0.4 + height / 1000, height / 400))
        assert is_colour(panel_of(ax), KEPT).any(), height


def test_what_cannot_be_drawn_says_so() -> None:
    with pytest.raises(InputError, match="expected `max_columns` to be an integer of 1 or more, got 0"):
        keep_map_by_layer(budgeted(), max_columns=0)
    with pytest.raises(InputError, match="`keep_map` has no entries"):
        keep_map_by_layer(KeepMap(torch.zeros(1, 1, 0, dtype=torch.int64), torch.zeros(1, 1, 0)))
    with pytest.raises(InputError, match="make the figure higher"):
        keep_map_by_layer(map_of(random_scores(32, 8, 20), Threshold(0.5)), ax=Figure(figsize=(3, 2)).add_subplot())


def test_under_a_budget_ages_are_shown_where_all_densities_are_equal() -> None:
    keep_map = budgeted(600)
    _, _, bars = keep_map_by_layer(keep_map)
    assert bars.get_xlabel() == "median age of\nwhat is kept"
    kept = keep_map.kept().numpy()
    kept[:, :, :4] = kept[:, :, -128:] = False
    ages = [599 - float(np.median(np.flatnonzero(row))) for row in kept.reshape(-1, 600)]
    words = [text.get_text() for text in bars.texts]
    assert words[-1] == f"each row keeps {keep_map.density():.1%}"
    assert words[:-1] == [f"{age:.0f}" for age in ages] and len(set(words)) > 4
    widths = [patch.get_width() for patch in bars.patches[len(ages) :]]
    np.testing.assert_allclose(widths, np.array(ages) / 600)


def test_nothing_kept_beside_the_zones_has_no_age() -> None:
    keep_map = map_of(torch.zeros(2, 2, 300), Threshold(0.5))
    _, _, bars = keep_map_by_layer(keep_map)
    assert [text.get_text() for text in bars.texts][:-1] == ["nothing beside\nsinks and window"]


def test_equal_ages_are_a_number_and_no_bars() -> None:
    keep_map = map_of(torch.arange(600.0).expand(2, 2, 600), Budget(0.2))
    _, _, bars = keep_map_by_layer(keep_map)
    words = [text.get_text() for text in bars.texts]
    assert words[0].startswith("median age of it:\n") and words[1].startswith("each row keeps") and not bars.patches
