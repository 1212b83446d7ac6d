"""Panels of weights, by their pixels."""

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure

from keepmap.drawing.parts.marks import Marks
from keepmap.drawing.parts.weights import CELL_PX, HeadWeights, cells_in, draw_weights, mean_weights, weight_scale
from tests.drawing.maps import panel_of
from tests.drawing.profiles import profile_of

N = 500


def drawn(weights: np.ndarray, pixels: int) -> np.ndarray:
    head = HeadWeights("head 0", weights, np.zeros(weights.shape, dtype=bool))
    ax = Figure(figsize=(4, 4), dpi=100).add_axes((0.1, 0.1, pixels / 400, pixels / 400))
    draw_weights(ax, head, weight_scale([head], colormaps["viridis"]), Marks.of(profile_of(), 100.0, "0.5"), N)
    ax.set(xlim=(-0.5, N - 0.5), ylim=(N - 0.5, -0.5), xticks=[], yticks=[])
    return panel_of(ax)


@pytest.mark.parametrize("position", [0, 1, 250, N - 1])
@pytest.mark.parametrize("pixels", [100, 301])
def test_a_lone_bright_cell_is_three_pixels_wide_even_at_the_edge(position: int, pixels: int) -> None:
    weights = np.zeros((N, N))
    weights[:, position] = 1.0
    bright = (drawn(weights, pixels)[..., 1] > 180).all(axis=0)
    columns = np.flatnonzero(bright)
    assert len(columns) >= CELL_PX and (np.diff(columns) == 1).all()
    assert len(columns) <= CELL_PX + 1
    assert abs(columns.mean() / len(bright) - (position + 0.5) / N) < 2 * CELL_PX / len(bright)


def test_few_positions_have_a_cell_each() -> None:
    assert [cells_in(pixels) for pixels in (1, 3, 9, 100)] == [1, 1, 3, 33]


def test_the_mean_is_over_heads_and_hidden_is_hidden_from_all() -> None:
    first = HeadWeights("head 0", np.eye(2), np.array([[False, True], [False, True]]))
    second = HeadWeights("head 1", np.zeros((2, 2)), np.array([[False, True], [False, False]]))
    mean = mean_weights([first, second])
    assert mean.name == "mean over 2 heads"
    np.testing.assert_array_equal(mean.weights, np.eye(2) / 2)
    assert mean.hidden.tolist() == [[False, True], [False, False]]
