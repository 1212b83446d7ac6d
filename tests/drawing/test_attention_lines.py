"""The attention lines, read back from what was drawn."""

import dataclasses
import hashlib

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.drawing import attention_lines, save_figure
from keepmap.errors import InputError
from tests.drawing.profiles import Chosen, marked, profile_of, weights_of, words_of


def lines_of(ax: Axes) -> tuple[list[np.ndarray], np.ndarray, np.ndarray | None]:
    """Heads, their mean, and uniform attention."""
    dotted = [line for line in ax.get_lines() if line.get_color() == "0.35"]
    bold = [line for line in ax.get_lines() if line.get_color() == "0.0"]
    heads = [line.get_ydata() for line in ax.get_lines() if line not in [*dotted, *bold]]
    return heads, bold[0].get_ydata(), dotted[0].get_ydata() if dotted else None


def test_left_is_the_query_and_right_what_positions_receive() -> None:
    profile = profile_of()
    left, right = attention_lines(profile, layer=1)
    weights = np.stack([weights_of(profile, 1, head) for head in range(4)])
    could_see = np.arange(50, 0, -1)
    for ax, expected in ((left, weights[:, -1]), (right, weights.sum(axis=1) / could_see)):
        heads, mean, _ = lines_of(ax)
        np.testing.assert_allclose(heads, expected, atol=1e-6)
        np.testing.assert_allclose(mean, expected.mean(axis=0), atol=1e-6)
        assert ax.get_xlabel() == "position" and ax.get_ylabel() == "attention weight"
    assert "Query token attention distribution" in words_of(left)
    assert "Average attention to each position" in words_of(right)
    assert "query 49" in words_of(left) and "all 50 queries" in words_of(left)
    assert "mean over 4 heads\nhead 0\nhead 1\nhead 2\nhead 3\nuniform attention" in words_of(left)


@pytest.mark.parametrize("source", [{}, {"window": 9}, {"everything": True}])
@pytest.mark.parametrize("queries", ["all", [3, 20, 31]])
def test_the_dotted_line_is_what_uniform_attention_gives(source: dict[str, object], queries: object) -> None:
    profile = profile_of(queries=queries, heads=2, **source)
    assert profile.captured is not None
    left, right = attention_lines(profile)
    layer = profile.captured[-1]
    position = np.arange(50)
    seen = (position >= layer.sees_from.numpy()[:, None]) & (position < layer.sees_until.numpy()[:, None])
    uniform = (seen / seen.sum(axis=1, keepdims=True))[profile.measured]
    counts = seen[profile.measured].sum(axis=0)
    expected = np.where(counts, uniform.sum(axis=0) / np.maximum(counts, 1), np.nan)
    np.testing.assert_allclose(lines_of(right)[2], expected, atol=1e-12)
    query = int(profile.queries[-1])
    np.testing.assert_allclose(lines_of(left)[2], 1 / seen[query].sum())


def test_it_is_not_drawn_where_it_is_not_known() -> None:
    evicted = dataclasses.replace(profile_of(), info={"evicted_by": "random"})
    logits = torch.zeros(30, 30)
    logits[20:, 5] = float("-inf")
    for profile in (evicted, profile_attention(Chosen(logits), None)):
        left, right = attention_lines(profile)
        assert lines_of(right)[2] is None and lines_of(left)[2] is not None


def test_of_long_contexts_every_peak_is_drawn_in_a_small_file(tmp_path) -> None:
    rows = torch.rand(1, 9, 1, 9001, generator=torch.Generator().manual_seed(0)) / 9001
    rows[0, 3, 0, 4321] = 0.4
    result = profile_of(layers=1, heads=9, n=9001, queries="last")
    profile = dataclasses.replace(result, rows=rows, received=rows[:, :, 0])
    left, _ = attention_lines(profile)
    heads, mean, _ = lines_of(left)
    assert all(len(line) == 2000 for line in [*heads, mean])
    assert heads[3].max() == pytest.approx(0.4)
    x = left.get_lines()[3].get_xdata()[heads[3].argmax()]
    assert abs(x - 4321) <= 5
    assert mean.max() == pytest.approx(float(rows.mean(dim=1).max()))
    assert "of every 9 positions" in words_of(left) and "square root" in left.get_ylabel()
    (path,) = save_figure(left.figure, tmp_path, "x", "svg")
    assert path.stat().st_size < 400_000


def test_episodes_and_rewards() -> None:
    profile = marked(profile_of(n=60))
    left, right = attention_lines(profile)
    for ax in (left, right):
        starts, rewarded = (artist.get_segments() for artist in ax.collections if isinstance(artist, LineCollection))
        assert [segment[0][0] for segment in starts] == [10.5, 30.5, 50.5]
        assert len(rewarded) == 9
        assert ax.get_xlabel() == "position: (episode, step)"
    assert "query 59, (episode, step) (4, 9)" in words_of(left)


def test_tokens_and_many_heads() -> None:
    left, _ = attention_lines(profile_of(n=6, heads=9, labels=(" a", "b\n", "$c$", "d", "e", "f")))
    assert [text.get_text() for text in left.get_xticklabels()] == ["␣a", "b\\n", "$c$", "d", "e", "f"]
    assert "heads" in words_of(left).split("\n")
    left, _ = attention_lines(profile_of(heads=1))
    assert words_of(left).split("\n")[-2:] == ["head", "uniform attention"]


def test_given_axes_and_a_loaded_profile(tmp_path) -> None:
    profile = profile_of()
    profile.save(tmp_path / "p.safetensors")
    loaded = AttentionProfile.load(tmp_path / "p.safetensors")
    ax = Figure().add_subplot()
    assert attention_lines(loaded, ax) is ax
    pair = Figure(figsize=(9, 3)).subplots(1, 2)
    assert attention_lines(loaded, ax=list(pair), title="mine") == tuple(pair)
    assert pair[0].get_title(loc="left") == "mine"
    with pytest.raises(InputError, match="expected `ax` to be 1 or 2 Axes, got 3 Axes"):
        attention_lines(profile, Figure().subplots(1, 3))
    with pytest.raises(InputError, match="layer=7 is not in the profile"):
        attention_lines(profile, layer=7)


def test_the_same_bytes_whatever_the_user_has_set(tmp_path) -> None:
    def digest(name: str) -> list[str]:
        figure = attention_lines(marked(profile_of()))[0].figure
        return [
            hashlib.sha256(p.read_bytes()).hexdigest() for p in save_figure(figure, tmp_path / name, "x", "png,svg")
        ]

    before = digest("a")
    with matplotlib.rc_context({"font.size": 31.0, "lines.linewidth": 9.0, "axes.grid": True}):
        settings = dict(matplotlib.rcParams)
        assert digest("b") == before
        assert dict(matplotlib.rcParams) == settings


@pytest.mark.parametrize(("n", "scale"), [(256, "linear"), (257, "function")])
def test_long_contexts_begin_beyond_256(n: int, scale: str) -> None:
    left, _ = attention_lines(profile_of(n=n, heads=1, layers=1, queries="last"))  # type: ignore[misc]
    assert left.get_yscale() == scale


def test_cells_of_long_lines_stand_at_their_middle() -> None:
    profile = profile_of(layers=1, heads=1, n=4000, queries="last")
    counted = torch.arange(4000, dtype=profile.rows.dtype).expand_as(profile.rows)
    left, _ = attention_lines(dataclasses.replace(profile, rows=counted))
    (line,) = [line for line in left.get_lines() if line.get_color() == "0.0"]
    assert line.get_xdata()[:4].tolist() == [1.5, 1.5, 5.5, 5.5]
    assert line.get_ydata()[:4].tolist() == [0.0, 3.0, 4.0, 7.0]


def test_a_peak_at_the_first_position_stands_clear_of_the_axis() -> None:
    logits = torch.zeros(400, 400)
    logits[:, 0] = 9.0
    for ax in attention_lines(profile_attention(Chosen(logits), None)):
        first, left = ax.transData.transform([(0, 0), (ax.get_xlim()[0], 0)])[:, 0]
        assert first - left >= 3 + ax.figure.dpi / 72, "three pixels beside the spine"
