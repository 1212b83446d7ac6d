"""A picture that is painted for the pixels at hand."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from keepmap.drawing.parts.raster import Raster, pixels
from tests.drawing.maps import panel_of


@pytest.mark.parametrize(("length", "whole"), [(0.0, 1), (0.4, 1), (3.0, 3), (2.9999, 3), (2.9, 2), (7.5, 7)])
def test_whole_pixels_of_a_length(length: float, whole: int) -> None:
    assert pixels(length) == whole


def test_it_is_painted_for_the_size_and_anew_where_that_has_changed() -> None:
    sizes: list[tuple[int, int]] = []

    def paint(width: int, height: int) -> np.ndarray:
        sizes.append((width, height))
        picture = np.full((height, width, 3), 255, dtype=np.uint8)
        picture[:, ::2] = 0  # every second column: matplotlib would lose some by skipping
        return picture

    figure = Figure(figsize=(2, 1), dpi=100)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    Raster(ax, paint, extent=(0.0, 1.0, 0.0, 1.0))
    ax.set_axis_off()
    assert sizes == [(200, 100)]
    assert (panel_of(ax)[50, ::2] == 0).all() and (panel_of(ax)[50, 1::2] == 255).all()
    assert sizes == [(200, 100)]
    figure.set_dpi(50)
    assert (panel_of(ax)[25, ::2] == 0).all() and sizes == [(200, 100), (100, 50)]


def test_no_spine_lies_on_the_first_or_the_last_position() -> None:
    ax = Figure().add_subplot()
    Raster(ax, lambda width, height: np.zeros((height, width, 3), dtype=np.uint8), extent=(0.0, 1.0, 0.0, 1.0))
    assert not any(spine.get_visible() for spine in ax.spines.values())
