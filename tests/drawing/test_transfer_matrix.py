"""The matrix of transfer, read back from what was drawn."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from keepmap.agents.evaluation.transfer import Transfer
from keepmap.drawing import transfer_matrix


def matrix(trained: tuple[str, ...] = ("none", "recency, at most 8", "memory, at most 8")) -> Transfer:
    mean = np.array([[0.97, -0.02], [0.4, 0.65], [0.1, 1.02]])
    return Transfer(
        trained=trained,
        acting=("none", "recency, at most 8"),
        mean=mean,
        low=mean - 0.1,
        high=mean + 0.1,
        goals=12,
        episodes=(7, 8),
    )


def test_every_pair_has_its_number_at_its_place() -> None:
    given = matrix()
    ax = transfer_matrix(given)
    shown = {text.get_position(): text.get_text() for text in ax.texts if text.get_ha() == "center"}
    assert shown == {(column, row): f"{value:.2f}" for (row, column), value in np.ndenumerate(given.mean)}
    assert [label.get_text() for label in ax.get_yticklabels()] == [*given.trained]
    assert [label.get_text() for label in ax.get_xticklabels()] == [*given.acting]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("trained with", "run with")


def test_numbers_are_dark_on_light_cells() -> None:
    ax = transfer_matrix(matrix())
    colours = {text.get_text(): text.get_color() for text in ax.texts if text.get_ha() == "center"}
    assert colours["0.97"] == "0.0" and colours["-0.02"] == "1.0"


def test_labels_lie_on_the_figure() -> None:
    ax = transfer_matrix(matrix())
    figure = ax.get_figure(root=True)
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    words = figure.findobj(Text)
    assert any("mean over" in word.get_text() for word in words)
    for label in (word for word in words if word.get_text()):
        box = label.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1


def test_a_users_axes() -> None:
    ax = Figure().add_subplot()
    assert transfer_matrix(matrix(), ax=ax) is ax
