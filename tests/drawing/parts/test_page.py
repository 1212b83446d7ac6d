"""Where things stand on a figure: whole pixels, and lines at the zones."""

import pytest
from matplotlib.figure import Figure

from keepmap.drawing.parts.page import blank_figure, boundaries, kept_legend, panel, position_axis, width_in_points
from keepmap.drawing.parts.style import CUT_LINE, DPI, SINK_LINE, WINDOW_LINE


def test_panels_stand_on_whole_pixels() -> None:
    figure = blank_figure(5.0, 3.0, "what it shows")
    ax = panel(figure, 0.3333, 0.7777, 2.111, 1.003)
    edges = [ax.bbox.x0, ax.bbox.y0, ax.bbox.x1, ax.bbox.y1]
    assert edges == pytest.approx([round(edge) for edge in edges], abs=1e-6)
    assert ax.bbox.x0 == pytest.approx(0.3333 * DPI, abs=1)
    assert figure.bbox.height - ax.bbox.y1 == pytest.approx(0.7777 * DPI, abs=1)
    assert figure.get_label() == "what it shows"


def test_the_width_of_several_axes_is_from_the_first_to_the_last() -> None:
    figure = blank_figure(6.0, 2.0, "")
    left, right = (panel(figure, x, 0.5, 2.0, 1.0) for x in (0.5, 3.0))
    assert width_in_points(left) == pytest.approx(2.0 * 72)
    assert width_in_points(left, right) == pytest.approx(4.5 * 72)


@pytest.mark.parametrize(
    ("n", "n_sink", "window", "expected"),
    [
        (10, 2, 3, [(2, SINK_LINE), (7, WINDOW_LINE)]),
        (10, 0, 3, [(7, WINDOW_LINE)]),
        (4, 4, 4, []),
        (10, 2, 0, [(2, SINK_LINE)]),
    ],
)
def test_lines_stand_where_zones_end_inside_of_the_text(n: int, n_sink: int, window: int, expected: list) -> None:
    assert [(line.x, line.colour) for line in boundaries(n, n_sink, window)] == expected


def test_a_context_that_was_cut_once_ends_before_the_text_does() -> None:
    lines = [(line.x, line.colour) for line in boundaries(10, 2, 3, 8)]
    assert lines == [(2, SINK_LINE), (5, WINDOW_LINE), (8, CUT_LINE)]


def test_a_line_is_drawn_into_every_one_of_the_axes_and_named_in_the_legend() -> None:
    axes = list(Figure().subplots(2, 1))
    (line,) = boundaries(10, 0, 3)
    line.draw(axes)
    assert [ax.get_lines()[0].get_xdata()[0] for ax in axes] == [7, 7]
    assert line.handle.get_label() == "start of window"


def test_the_legend_of_cells_names_the_shade_and_the_tick() -> None:
    assert [entry.get_label() for entry in kept_legend(gathered=False)] == ["kept", "evicted"]
    names = ["kept", "half of a cell kept", "evicted", "tick below: any kept"]
    assert [entry.get_label() for entry in kept_legend(gathered=True)] == names


def test_positions_are_whole_numbers() -> None:
    ax = Figure().add_subplot()
    position_axis(ax, 2)
    assert ax.get_xlim() == (0, 2) and ax.get_xlabel() == "token position"
    assert all(tick == int(tick) for tick in ax.get_xticks())
