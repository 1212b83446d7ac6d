"""The attention heatmap, by its data and by its pixels."""

import dataclasses
import hashlib
from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from keepmap.attention.layer import AttentionLayer, causal
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.drawing import attention_heatmap, save_figure
from keepmap.drawing.parts.raster import Raster
from keepmap.errors import InputError
from keepmap.kv.choosing import Protection, Threshold
from tests.drawing.maps import map_of, panel_of
from tests.drawing.profiles import Chosen, marked, profile_of, weights_of, words_of


def picture_of(ax) -> np.ndarray:
    (result,) = [child for child in ax.get_children() if isinstance(child, Raster)]
    return np.asarray(result.get_array())


def expected(weights: np.ndarray, top: float, cmap: str = "viridis") -> np.ndarray:
    table = np.round(matplotlib.colormaps[cmap](np.linspace(0, 1, 256)) * 255)
    return table[np.round(np.sqrt(weights / top) * 255).astype(int)][..., :3]


@pytest.mark.parametrize("cmap", ["viridis", "Reds"])
def test_every_pair_is_a_cell_in_the_colour_of_its_weight(cmap: str) -> None:
    profile = profile_of()
    axes = attention_heatmap(profile, layer=0, cmap=cmap)
    assert isinstance(axes, tuple) and len(axes) == 4
    weights = [weights_of(profile, 0, head) for head in range(4)]
    top = max(weight.max() for weight in weights)
    above = np.triu(np.ones((50, 50), dtype=bool), 1)
    for ax, weight in zip(axes, weights, strict=True):
        picture = picture_of(ax)
        assert picture.shape == (50, 50, 4)
        assert (picture[above, 3] == 0).all() and (picture[~above, 3] == 255).all()
        assert np.abs(picture[~above][:, :3] - expected(weight, top, cmap)[~above]).max() <= 8  # one step of 256


def test_the_last_row_is_the_query_and_lies_at_the_bottom() -> None:
    logits = torch.zeros(40, 40)
    logits[39, 7] = 9.0
    ax = attention_heatmap(profile_attention(Chosen(logits), None))
    pixels = panel_of(ax)
    side = pixels.shape[0] // 40
    bright = matplotlib.colormaps["viridis"](np.sqrt(0.9952))[:3]
    result = np.abs(pixels[39 * side : 40 * side, 7 * side : 8 * side] / 255 - bright).max()
    assert result < 0.02


def test_what_a_query_does_not_see_is_hatched_and_not_weight_0() -> None:
    ax = attention_heatmap(profile_of(heads=1))
    pixels = panel_of(ax)
    side = pixels.shape[0] // 50
    corner = pixels[: 8 * side, -8 * side :].reshape(-1, 3).astype(int)
    assert set(np.unique(corner.round(-1) // 10)) <= set(range(15, 25)), "greys"
    assert len(np.unique(corner, axis=0)) > 1, "hatched"
    assert (corner.max(axis=1) - corner.min(axis=1)).max() == 0
    assert "not seen by the query" in words_of(ax)


def test_windows_and_models_that_see_everything() -> None:
    windowed = picture_of(attention_heatmap(profile_of(heads=1, window=10)))[..., 3] > 0
    ahead = np.arange(50)[:, None] - np.arange(50)
    np.testing.assert_array_equal(windowed, (ahead >= 0) & (ahead < 10))
    assert (picture_of(attention_heatmap(profile_of(heads=1, everything=True)))[..., 3] == 255).all()
    gathered = picture_of(attention_heatmap(profile_of(heads=1, window=10), size=7))[..., 3] > 0
    cell = np.searchsorted(np.arange(8) * 50 // 7, np.arange(50), side="right") - 1
    reference = np.zeros((7, 7), dtype=bool)
    for row, column in np.argwhere((ahead >= 0) & (ahead < 10)):
        reference[cell[row], cell[column]] = True
    np.testing.assert_array_equal(gathered, reference)


def test_a_mask_of_its_own_is_seen_too() -> None:
    logits = torch.zeros(30, 30)
    logits[20:, 5] = float("-inf")
    expires = torch.full((1, 30), 30)
    expires[0, 6] = 25  # evicted is seen, with weight 0
    picture = picture_of(attention_heatmap(profile_attention(Chosen(logits, expires), None)))
    assert (picture[20:, 5, 3] == 0).all() and (picture[5:20, 5, 3] == 255).all() and (picture[20:, 6, 3] == 255).all()


@pytest.mark.parametrize("size", [512, 64])
def test_a_lone_bright_token_survives(size: int) -> None:
    logits = torch.zeros(1300, 1300)
    logits[1001, 333] = 12.0
    ax = attention_heatmap(profile_attention(Chosen(logits), None), size=size)
    picture = picture_of(ax)
    cells = min(size, 512 // 3)  # of three pixels at least
    assert picture.shape[:2] == (cells, cells)
    assert "each as bright as its largest weight" in words_of(ax)
    bright = panel_of(ax)[..., 1] > 180
    bright[:40, :40] = False  # the first queries see few positions, and the hatched half is light
    rows, columns = np.nonzero(bright & np.tri(*bright.shape, -12, dtype=bool))
    assert np.ptp(rows) >= 2 and np.ptp(columns) >= 2
    np.testing.assert_allclose(
        [rows.mean() / bright.shape[0], columns.mean() / bright.shape[1]], [1001 / 1300, 333 / 1300], atol=1.5 / 64
    )


def test_it_survives_small_axes_too() -> None:
    logits = torch.zeros(300, 300)
    logits[250, 33] = 12.0
    ax = Figure(figsize=(2, 2), dpi=60).add_subplot()
    attention_heatmap(profile_attention(Chosen(logits), None), ax)
    ax.figure.set_dpi(40)
    pixels = panel_of(ax)
    row, column = round(250.5 / 300 * len(pixels)), round(33.5 / 300 * pixels.shape[1])
    assert (pixels[row - 2 : row + 2, column - 2 : column + 2, 1] > 180).any()


def test_evicted_has_weight_0(model_folder) -> None:
    from keepmap.language_model import load_language_model

    language_model = load_language_model(model_folder)
    keep_map = map_of(torch.zeros(2, 2, 60), Threshold(0.5), Protection(0, 8))
    profile = profile_attention(language_model, torch.arange(60), keep_map=keep_map)
    ax = attention_heatmap(profile, heads=1)
    gone = np.round(np.array(matplotlib.colormaps["viridis"](0.0)) * 255)
    np.testing.assert_array_equal(picture_of(ax)[59, :50], np.tile(gone, (50, 1)))
    assert "under eviction by" in words_of(ax)


def test_episodes_and_rewards_are_marked_on_both_axes() -> None:
    profile = marked(profile_of(n=60, heads=1))
    assert profile.landmarks is not None
    ax = attention_heatmap(profile)
    lines = [artist.get_segments() for artist in ax.collections if isinstance(artist, LineCollection)]
    starts = (np.flatnonzero(np.diff(profile.landmarks.episodes)) + 0.5).tolist()
    rewarded = [place for place, reward in enumerate(profile.landmarks.rewards) if reward]
    assert [segment[0][0] for segment in lines[0]] == starts == [10.5, 30.5, 50.5]
    assert [segment[0][0] for segment in lines[1]] == rewarded
    assert [segment[0][1] for segment in lines[2]] == starts
    assert [segment[0][1] for segment in lines[3]] == rewarded
    assert all(1 <= y < 1.1 for segment in lines[1] for _, y in segment), "beyond the edge"
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels[0] == "(1, 10)" and labels[-1] == "(4, 9)" and "(3, 1)" in labels
    assert labels == [text.get_text() for text in ax.get_yticklabels()]
    words = words_of(ax)
    assert "an episode starts" in words and "rewarded" in words


def test_many_episodes_have_fewer_lines_and_say_so() -> None:
    ax = attention_heatmap(marked(profile_of(n=400, heads=1), length=3))
    lines = next(artist for artist in ax.collections if isinstance(artist, LineCollection))
    assert len(lines.get_segments()) <= 24
    assert "an episode starts (every " in words_of(ax)


def test_tokens_of_short_texts_are_labels_and_data() -> None:
    tokens = (" the", "a\nb", "$x_1$", "\t", "", "   ", "\x00", "\u4f60", "extraordinarily", "\ud800")
    ax = attention_heatmap(profile_of(n=10, heads=1, labels=tokens))
    labels = ["␣the", "a\\nb", "$x_1$", "\\t", "''", "␣␣␣", "\\x00", "\\u4f60", "extraordinari…", "\\ud800"]
    assert [text.get_text() for text in ax.get_xticklabels()] == labels
    assert [text.get_text() for text in ax.get_yticklabels()] == labels
    assert not any(text.get_parse_math() for text in [*ax.get_xticklabels(), *ax.get_yticklabels()])
    panel_of(ax)
    long = attention_heatmap(profile_of(n=41, heads=1, labels=tuple("abcdefghi" * 5)[:41]))
    assert [text.get_text() for text in long.get_xticklabels()] == ["0", "10", "20", "30", "40"]


def test_one_axes_for_several_heads_shows_their_mean_and_says_so() -> None:
    profile = profile_of()
    ax = Figure(figsize=(5, 5)).add_subplot()
    assert attention_heatmap(profile, ax, layer=1) is ax
    mean = np.mean([weights_of(profile, 1, head) for head in range(4)], axis=0)
    below = np.tri(50, dtype=bool)
    assert np.abs(picture_of(ax)[below][:, :3] - expected(mean, mean.max())[below]).max() <= 8
    assert "mean over 4 heads" in ax.get_title(loc="left").replace("\n", " ")
    named = attention_heatmap(profile, ax=Figure(figsize=(5, 5)).add_subplot(), title="mine")
    assert named.get_title(loc="left") == "mine" and "mean over 4 heads" in words_of(named)


def test_several_axes_are_one_for_each_head() -> None:
    axes = Figure(figsize=(9, 5)).subplots(1, 2)
    assert attention_heatmap(profile_of(), axes, heads=[2, 0]) == tuple(axes)
    assert "head 2" in words_of(axes[0]) and "head 0" in words_of(axes[1])
    assert len(attention_heatmap(profile_of(), heads=[1, 3])) == 2
    with pytest.raises(
        InputError, match=r"expected `ax` to be 1 or 4 Axes \(one for each head, or one for their mean\), got 3 Axes"
    ):
        attention_heatmap(profile_of(), Figure().subplots(1, 3))


def test_the_colour_bar_says_what_the_colours_are() -> None:
    profile = profile_of(heads=2)
    axes = attention_heatmap(profile)
    *panels, bar = axes[0].figure.axes
    assert tuple(panels) == axes
    assert bar.get_ylabel() == "attention weight (by its square root)"
    top = max(weights_of(profile, 1, head).max() for head in range(2))
    np.testing.assert_allclose(bar.get_ylim(), (0, top), atol=1e-6)


@pytest.mark.parametrize("heads", [1, 3, 6, 17, 40])
def test_panels_of_any_number_of_heads_do_not_overlap(heads: int) -> None:
    axes = attention_heatmap(profile_of(heads=heads, n=20, layers=1))
    axes = axes if isinstance(axes, tuple) else (axes,)
    boxes = [ax.get_position() for ax in axes[0].figure.axes]
    assert len(axes) == heads
    assert all(0 < box.x0 < box.x1 < 1 and 0 < box.y0 < box.y1 < 1 for box in boxes)
    for number, panel in enumerate(boxes):
        assert not any(panel.overlaps(other) for other in boxes[:number])


def digest(ax, tmp_path, name: str) -> list[str]:
    paths = save_figure(ax.figure, tmp_path / name, "x", "png,svg,pdf")
    assert paths[1].stat().st_size < 300_000
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_the_users_settings_are_neither_read_nor_changed(tmp_path) -> None:
    profile = marked(profile_of())
    before = digest(attention_heatmap(profile)[0], tmp_path, "a")
    with matplotlib.rc_context({"font.size": 31.0, "axes.grid": True, "image.cmap": "jet", "hatch.linewidth": 5.0}):
        settings = dict(matplotlib.rcParams)
        again = digest(attention_heatmap(profile)[0], tmp_path, "b")
        assert dict(matplotlib.rcParams) == settings
    assert before == again


def test_hidden_differs_from_weight_0_for_readers_without_colour() -> None:
    grey = [
        np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) for colour in ("0.90", matplotlib.colormaps["viridis"](0.0)[:3])
    ]
    assert grey[0] - grey[1] > 0.5


def test_mistakes() -> None:
    profile = profile_of()
    with pytest.raises(InputError, match='cmap="viridsi" is not a colour map .*did you mean "viridis"'):
        attention_heatmap(profile, cmap="viridsi")
    with pytest.raises(InputError, match="such as viridis, cividis or Reds"):
        attention_heatmap(profile, cmap="qqqqqqq")
    with pytest.raises(InputError, match="layer=2 is not in the profile, which has layers 0, 1"):
        attention_heatmap(profile, layer=2)
    with pytest.raises(InputError, match="expected `head` to be one that was profiled, .* got 4"):
        attention_heatmap(profile, heads=4)
    with pytest.raises(InputError, match="`heads` is empty"):
        attention_heatmap(profile, heads=[])
    with pytest.raises(InputError, match="expected `size` to be an integer of 1 or more, got 0"):
        attention_heatmap(profile, size=0)


def test_a_loaded_profile_has_no_map(tmp_path) -> None:
    profile = profile_of()
    profile.save(tmp_path / "p.safetensors")
    with pytest.raises(InputError, match="profile the model again"):
        attention_heatmap(AttentionProfile.load(tmp_path / "p.safetensors"))
    with pytest.raises(InputError, match="profile the model again"):
        attention_heatmap(dataclasses.replace(profile, captured=None))


@dataclasses.dataclass
class Masked:
    """Heads that look at themselves and all before, but for the positions that each of them does not see."""

    hidden: tuple[tuple[int, ...], ...]
    name: str = "masked"

    def attention_layers(self, n: int) -> Iterator[AttentionLayer]:
        bias = torch.zeros(len(self.hidden), n, n)
        for head, positions in enumerate(self.hidden):
            bias[head, :, list(positions)] = float("-inf")
        zero = torch.zeros(len(self.hidden), n, 4)
        yield AttentionLayer(
            layer=0, queries=zero, keys=zero, scaling=1.0, sees_from=causal(n)[0], sees_until=causal(n)[1], bias=bias
        )


def test_a_mean_hides_only_what_no_head_sees() -> None:
    profile = profile_attention(Masked(((1, 3), (2, 3))), 6)
    ax = Figure(figsize=(4, 4)).add_subplot()
    assert attention_heatmap(profile, ax) is ax
    seen = picture_of(ax)[..., 3] > 0
    expected_seen = np.tri(6, dtype=bool)
    expected_seen[:, 3] = False
    np.testing.assert_array_equal(seen, expected_seen)


def test_a_pixel_of_which_anything_is_seen_is_not_hidden() -> None:
    ax = Figure(figsize=(1, 1), dpi=50).add_subplot()
    attention_heatmap(profile_of(n=200, heads=1), ax)
    picture = picture_of(ax)
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


def test_outer_labels_of_an_agent_grow_inwards() -> None:
    ax = attention_heatmap(marked(profile_of(n=60, heads=1)))
    assert isinstance(ax, Axes)
    labels = ax.get_xticklabels()
    assert labels[0].get_horizontalalignment() == "left" and labels[-1].get_horizontalalignment() == "right"
