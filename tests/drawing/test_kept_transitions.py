"""The figure of what compressors keep, read back from what was drawn."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from keepmap.drawing import kept_transitions, save_figure
from keepmap.errors import InputError

N = 50
REWARDS = (np.arange(N) % 20 >= 15).astype(float)
EPISODES = np.arange(N) // 20 + 1
KEPT = {"recency": np.arange(N) >= 40, "uniform": np.arange(N) % 7 == 0, "nothing": np.zeros(N, dtype=bool)}
ATTENTION = np.linspace(0, 0.5, N)


def marks(ax) -> list[LineCollection]:
    return [artist for artist in ax.collections if isinstance(artist, LineCollection) and artist.get_zorder() == 3]


def test_the_marks_are_what_is_kept(tmp_path) -> None:
    (ax,) = kept_transitions(KEPT, rewards=REWARDS, episodes=EPISODES, attention=ATTENTION, caption="goal (1, 2)")
    for row, (mask, drawn) in enumerate(zip(KEPT.values(), marks(ax), strict=True)):
        segments = drawn.get_segments()
        assert [int(segment[0][0]) for segment in segments] == np.flatnonzero(mask).tolist()
        assert all(row < y < row + 1 for segment in segments for _, y in segment)
    assert [label.get_text() for label in ax.get_yticklabels()] == [*KEPT, "attention paid"]
    heights = np.array([-bar.get_height() for bar in ax.patches])
    np.testing.assert_allclose(heights / heights.max(), ATTENTION / ATTENTION.max())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["kept", "rewarded", "an episode starts"]
    assert ax.get_xlabel() == "transition, oldest first"
    paths = save_figure(ax.get_figure(root=True), tmp_path, "kept", "png,svg")
    assert [path.name for path in paths] == ["kept.png", "kept.svg"]
    svg = paths[1].read_text(encoding="utf-8")
    assert all(f">{word}<" in svg for word in ("recency", "goal (1, 2)", "episode", "1", "2", "3"))


def test_rewards_and_episodes_stand_where_they_are() -> None:
    (ax,) = kept_transitions(KEPT, rewards=REWARDS, episodes=EPISODES)
    (bands,) = (artist for artist in ax.collections if artist.get_zorder() == 0)
    spans = [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bands.get_paths()]
    assert spans == [(15, 20), (35, 40)]
    lines = next(
        artist for artist in ax.collections if isinstance(artist, LineCollection) and artist.get_linewidth()[0] == 0.8
    )
    assert [segment[0][0] for segment in lines.get_segments()] == [20, 40]
    assert len(ax.get_yticklabels()) == 3


def test_given_axes_many_episodes_and_no_rewards() -> None:
    ax = Figure().add_subplot()
    n = 2000
    drawn = kept_transitions({"a": np.ones(n, dtype=bool)}, rewards=np.zeros(n), episodes=np.arange(n) // 20, ax=ax)
    assert drawn == (ax,)
    (above,) = ax.child_axes
    assert len(above.get_xticks()) <= 16


def test_numbers_that_differ_are_an_error() -> None:
    with pytest.raises(
        InputError, match='expected `kept` of "recency" to be 49 values, one for each of `rewards`, got \\[50\\]'
    ):
        kept_transitions(KEPT, rewards=REWARDS[1:], episodes=EPISODES[1:])
    with pytest.raises(InputError, match="`kept` has no compressor"):
        kept_transitions({}, rewards=REWARDS, episodes=EPISODES)
