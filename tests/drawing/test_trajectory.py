"""The figure of an agent's way, read back from what was drawn."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from keepmap.drawing import trajectory
from keepmap.errors import InputError

CELLS = np.array([[1, 1], [1, 2], [2, 2], [1, 1], [1, 0], [1, 0]])
AFTER = np.array([[1, 2], [2, 2], [2, 1], [1, 0], [1, 0], [4, 3]])
WAY = {
    "states": CELLS,
    "actions": np.arange(6) % 4,
    "rewards": np.array([0.0, 0, 1, 0, 1, 0]),
    "next_states": AFTER,
    "episodes": np.array([1, 1, 1, 2, 2, 2]),
}


def drawn(**changed: object) -> Axes:
    given = WAY | changed
    (ax,) = trajectory(given.pop("states"), **given)
    return ax


def paths(ax: Axes) -> list[np.ndarray]:
    """The vertices of each path."""
    lines = [artist.get_segments() for artist in ax.collections if isinstance(artist, LineCollection)]
    return [np.array([segments[0][0], *(segment[1] for segment in segments)]) for segments in lines]


def test_each_episode_goes_from_cell_to_cell_of_its_own_room() -> None:
    ax = drawn()
    frames = [patch for patch in ax.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    # Rows 0 to 4 and columns 0 to 3 were seen.
    assert [(frame.get_height(), frame.get_width()) for frame in frames] == [(5, 4), (5, 4)]
    for episode, (frame, way) in enumerate(zip(frames, paths(ax), strict=True)):
        own = WAY["episodes"] == episode + 1
        cells = np.concatenate([CELLS[own][:1], AFTER[own]])
        seen = np.floor(way - np.array(frame.get_xy())).astype(int)
        assert seen.tolist() == cells[:, ::-1].tolist()
    assert [text.get_text() for text in ax.texts][:2] == ["episode 1", "episode 2"]
    assert "6 steps · 2 episodes · 2 steps paid" in " ".join(text.get_text() for text in ax.texts).replace("\xa0", " ")


def test_what_paid_is_the_cell_that_the_step_led_to() -> None:
    ax = drawn()
    frames = [patch for patch in ax.patches if not patch.get_fill()]
    paid = [patch for patch in ax.patches if patch.get_fill()]
    assert [(np.array(cell.get_xy()) - frame.get_xy()).tolist() for cell, frame in zip(paid, frames, strict=True)] == [
        [1, 2],
        [0, 1],
    ]


def test_who_stands_still_is_seen() -> None:
    cells = np.full((9, 2), 3)
    (way,) = paths(drawn(states=cells, next_states=cells, actions=np.zeros(9), rewards=np.zeros(9), episodes=[7] * 9))
    assert np.ptp(way[:, 0]) >= 0.4 and len(np.unique(way, axis=0)) == 10


@pytest.mark.parametrize("is_bandit", [False, True])
def test_one_number_is_a_line_of_states_or_where_they_are_the_same_of_actions(is_bandit: bool) -> None:
    states = np.zeros(6) if is_bandit else np.array([0, 3, 1, 0, 2, 2])
    after = np.zeros(6) if is_bandit else np.array([3, 1, 4, 2, 2, 0])
    ax = drawn(states=states, next_states=after)
    tops = [patch.get_y() for patch in ax.patches]
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    values = WAY["actions"] if is_bandit else after
    for line, top, own in zip(lines, tops, (slice(3), slice(3, 6)), strict=True):
        assert (line.get_ydata() - top - 0.5).tolist() == pytest.approx(values[own])
    filled = [len(line.get_xdata()) for line in ax.lines if line.get_markerfacecolor() == "0.1"]
    assert filled == [1, 1]
    what = ax.get_legend().get_texts()[0].get_text()
    assert what == f"{'action' if is_bandit else 'state'} of a step, 0 at the top"


def test_of_many_episodes_twelve_with_the_first_and_the_last() -> None:
    n = 100
    cells = np.zeros((n, 2))
    ax = drawn(states=cells, next_states=cells, actions=np.zeros(n), rewards=np.zeros(n), episodes=np.arange(n) // 2)
    names = [text.get_text() for text in ax.texts if text.get_text().startswith("episode ")]
    assert len(names) == 12 and (names[0], names[-1]) == ("episode 0", "episode 49")
    assert "12 of 50 episodes" in " ".join(text.get_text() for text in ax.texts).replace("\xa0", " ")


def test_into_given_axes() -> None:
    ax = Figure().add_subplot()
    assert drawn(ax=ax) is ax and len(paths(ax)) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rewards": [1.0]}, r"expected `rewards` to be of 6 steps, as `states`, got \[1\]"),
        ({"next_states": AFTER[:, :1]}, r"expected `next_states` to be of 6 steps, as `states`, got \[6, 1\]"),
        ({"states": np.zeros((0, 2))}, r"expected `states` to be \[n, S\] of one step or more, got the shape \[0, 2\]"),
        ({"states": [["a", "b"]]}, "expected `states` to be an array of numbers"),
        ({"rewards": np.full(6, np.nan)}, "expected `rewards` to be finite"),
        ({"states": CELLS + 10**9}, "expected `states` to be cells below 1,000"),
        ({"states": CELLS - 5}, "expected `states` to be cells below 1,000"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        drawn(**changed)
