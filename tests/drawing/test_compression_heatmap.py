"""The compression heatmap, by its data and by its pixels."""

from collections.abc import Callable

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from keepmap.core.densities import token_statistics
from keepmap.core.keep_map import KeepMap
from keepmap.drawing import compression_heatmap
from keepmap.drawing.parts.style import COMPRESSIBLE, CUT_LINE, EVICTED, KEPT, PROTECTED, SINK_LINE, WINDOW_LINE
from keepmap.errors import InputError
from keepmap.kv.choosing import Budget, Protection, Threshold
from tests.drawing.maps import (
    PROTECTION,
    budgeted,
    cut_once,
    is_colour,
    lone_tokens,
    map_of,
    panel_of,
    random_choice,
    random_scores,
    streaming,
)


def lines_at(ax: object) -> dict[str, float]:
    return {line.get_color(): line.get_xdata()[0] for line in ax.get_lines()}  # type: ignore[attr-defined]


def full_columns(picture: np.ndarray, n: int) -> list[slice]:
    """Of each token, the pixel columns that lie wholly within it."""
    edges = np.arange(n + 1) * picture.shape[1] / n
    return [slice(int(np.ceil(a - 1e-9)), int(np.floor(b + 1e-9))) for a, b in zip(edges, edges[1:], strict=False)]


def check_panel(picture: np.ndarray, mask: np.ndarray, high: str, low: str, lines: list[int]) -> None:
    """Every token has a full pixel column in its own colour, from top to bottom, except where a dashed line runs."""
    for j, columns in enumerate(full_columns(picture, len(mask))):
        assert columns.stop > columns.start, f"token {j} has no pixel column of its own"
        right = is_colour(picture[:, columns], high if mask[j] else low)
        under_a_line = any(abs(j + 0.5 - x) < 2.5 for x in lines)
        assert right.any() if under_a_line else right[2:-2].all(), f"token {j}"


def test_a_context_that_was_cut_once_ends_at_a_grey_line_and_the_rest_is_protected() -> None:
    keep_map = cut_once(1000, 700)
    top, bottom = compression_heatmap(keep_map)
    assert lines_at(top) == {SINK_LINE: 4, WINDOW_LINE: 700 - 128, CUT_LINE: 700}
    protected = np.arange(1000)
    mask = (protected < 4) | (protected >= 700 - 128)
    check_panel(panel_of(bottom), mask, PROTECTED, COMPRESSIBLE, [4, 700 - 128, 700])


@pytest.mark.parametrize("make", [streaming, random_choice, budgeted, lone_tokens])
@pytest.mark.parametrize("n_tokens", [1024, 700])
def test_every_token_has_its_colour_in_a_pixel_column_of_its_own(make: Callable[[], KeepMap], n_tokens: int) -> None:
    keep_map = make()
    statistics = token_statistics(keep_map, n_tokens)
    top, *_, bottom = compression_heatmap(keep_map, n_tokens=n_tokens)
    lines = [statistics.n_sink, n_tokens - statistics.window]
    if keep_map.threshold is not None:
        check_panel(panel_of(top), statistics.kept.numpy(), KEPT, EVICTED, lines)
    check_panel(panel_of(bottom), statistics.protected.numpy(), PROTECTED, COMPRESSIBLE, lines)


def test_streaming_llm_is_red_between_sinks_and_window() -> None:
    top, *_, bottom = compression_heatmap(streaming())
    row = panel_of(top)[60]
    assert is_colour(row[None, 12:1788], EVICTED).all()
    assert is_colour(row[None, 1796:], KEPT).all()
    assert is_colour(row[None, :4], KEPT).all()
    assert is_colour(panel_of(bottom)[None, 40, 1796:-4][0][None], PROTECTED).all()


def test_it_shows_the_cache_after_the_last_token_shown_and_not_after_the_text() -> None:
    late = random_scores(1, 1, 1200)
    keep_map = map_of(late, Budget(count=40), Protection(2, 16), info={"label": "late"})
    shown = token_statistics(keep_map, 512).kept
    assert not torch.equal(shown, keep_map.kept()[0, 0, :512])
    top, *_ = compression_heatmap(keep_map, n_tokens=512)
    check_panel(panel_of(top), shown.numpy(), KEPT, EVICTED, [2, 496])


def test_lines_stand_after_the_sinks_and_at_the_start_of_the_window() -> None:
    for ax in compression_heatmap(streaming()):
        assert lines_at(ax) == {SINK_LINE: 4, WINDOW_LINE: 896}
        assert all(line.is_dashed() for line in ax.get_lines())


@pytest.mark.parametrize(
    ("n", "protection", "expected"),
    [
        (300, Protection(0, 128), {WINDOW_LINE: 172}),
        (300, Protection(4, 0), {SINK_LINE: 4}),
        (300, Protection(0, 0), {}),
        (100, Protection(4, 128), {SINK_LINE: 4}),
        (128, Protection(4, 128), {SINK_LINE: 4}),
        (1, Protection(4, 128), {}),
        (1, Protection(0, 0), {}),
    ],
)
def test_short_texts_and_empty_zones(n: int, protection: Protection, expected: dict[str, float]) -> None:
    keep_map = map_of(random_scores(1, 1, n), Threshold(0.5), protection)
    top, *_, bottom = compression_heatmap(keep_map)
    assert lines_at(top) == expected
    statistics = token_statistics(keep_map, 1024)
    lines = [int(x) for x in expected.values()]
    check_panel(panel_of(top), statistics.kept.numpy(), KEPT, EVICTED, lines)
    check_panel(panel_of(bottom), statistics.protected.numpy(), PROTECTED, COMPRESSIBLE, lines)


def legend_of(ax: object) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]  # type: ignore[attr-defined]


def test_the_legend_names_what_is_drawn() -> None:
    top, *_ = compression_heatmap(streaming())
    ends = ["end of sinks", "start of window"]
    names = ["kept", "evicted", "half of its entries kept", "protected", "compressible", *ends]
    assert legend_of(top) == names
    (top, _) = compression_heatmap(streaming(), ax=Figure(figsize=(16, 3)).subplots(2, 1))
    assert legend_of(top) == ["kept", "evicted", "protected", "compressible", *ends]
    top, _ = compression_heatmap(budgeted())
    assert legend_of(top) == ["0%", "50%", "100% of its entries kept", "protected", "compressible", *ends]
    (only,) = compression_heatmap(streaming(), ax=Figure(figsize=(16, 3)).add_subplot())
    assert legend_of(only) == ["kept", "evicted", "end of sinks", "start of window"]


@pytest.mark.parametrize(
    ("keep_map", "words"),
    [
        (streaming(), "StreamingLLM · threshold 0.5 · tiny"),
        (budgeted(), "KeyNorm · density 0.2"),
        (map_of(random_scores(1, 1, 200), Budget(count=64), info={"label": "H2O", "budget": 64}), "H2O · budget 64"),
        (map_of(random_scores(1, 1, 9), Threshold(-7.0), info={"label": "a $x_{1}$ b"}), "a $x_{1}$ b · threshold -7"),
        (
            map_of(random_scores(1, 1, 9), Threshold(0.1), info={"method": "random", "chunk_size": 7}),
            "random · threshold 0.1 · ch",
        ),
    ],
)
def test_the_title_has_label_and_rule(keep_map: KeepMap, words: str) -> None:
    top, *_ = compression_heatmap(keep_map)
    assert top.get_title(loc="left").startswith(words)
    (title,) = (text for text in top.get_children() if isinstance(text, Text) and text.get_text().startswith(words))
    assert not title.get_parse_math(), "a dollar sign in a label is a dollar sign"


def test_the_statistics_stand_below_the_title_as_they_are_printed() -> None:
    top, *_, bottom = compression_heatmap(streaming())
    texts = [child.get_text() for child in top.get_children() if isinstance(child, Text)]
    assert (
        "Overall density: 12.89% (132/1024 kept) · Protected tokens: 132 (sinks=4, window=128) · "
        "Compressible region density: 0.00% (0/892 kept)\nEntries kept: 12.89% · the cache after 1,024 of 1,200 tokens"
    ) in texts
    assert bottom.get_xlabel() == "token position"
    assert compression_heatmap(streaming(), title="mine")[0].get_title(loc="left") == "mine"


def test_a_text_that_is_shown_whole_is_not_called_cut() -> None:
    top, *_ = compression_heatmap(streaming(900))
    assert not any("the cache after" in child.get_text() for child in top.get_children() if isinstance(child, Text))


def test_where_layers_and_heads_disagree_it_says_how_many_entries_are_kept() -> None:
    """The mean of many heads' scores reaches a high threshold nowhere, while each head keeps 15 % of its entries."""
    keep_map = map_of(random_scores(4, 4, 1024), Threshold(0.85), info={"label": "Random"})
    assert token_statistics(keep_map, 1024).n_compressible_kept == 0
    assert 0.24 < keep_map.density() < 0.28
    top, *_ = compression_heatmap(keep_map)
    (line,) = [text.get_text() for text in top.texts if "Overall" in text.get_text()]
    assert line.startswith("Overall density: 12.89% (132/1024 kept)")
    assert line.endswith(f"Entries kept: {keep_map.density():.2%}")
    first, *_ = compression_heatmap(keep_map, n_tokens=300)
    cut = f"Entries kept: {keep_map.density(299):.2%} · the cache after 300 of 1,024 tokens"
    assert first.texts[0].get_text().endswith(cut)


def test_given_axes_are_drawn_into_at_any_size() -> None:
    figure = Figure(figsize=(5, 3), dpi=100)
    pair = figure.subplots(2, 1)
    axes = compression_heatmap(lone_tokens(), ax=pair)
    assert [*axes] == [*pair]
    assert len(figure.axes) == 2
    # 1,024 tokens on fewer than 400 columns: the foot of the panel still shows each token that is kept.
    picture = panel_of(axes[0])
    assert picture.shape[1] < 400
    kept = token_statistics(lone_tokens(), 1024).kept.numpy().nonzero()[0]
    foot = is_colour(picture[-5:], KEPT).any(axis=0).nonzero()[0]
    expected = kept * picture.shape[1] / 1024
    assert all(np.abs(foot - x).min() <= 2 for x in expected)
    assert all(np.abs(expected - x).min() <= 2 for x in foot)


def test_a_lone_token_survives_a_layout_that_shrinks_the_axes_and_a_lower_dpi() -> None:
    scores = torch.zeros(1, 1, 1000)
    scores[..., 501] = 1.0
    keep_map = map_of(scores, Threshold(0.5), Protection(0, 0))
    for width in range(300, 320, 3):
        (ax,) = compression_heatmap(keep_map, ax=Figure(figsize=(11, 3), dpi=100).add_subplot())
        ax.set_position((0.1, 0.2, width / 1100, 0.5))
        assert is_colour(panel_of(ax)[-8:], KEPT).any()
        ax.figure.set_dpi(70)
        assert is_colour(panel_of(ax)[-8:], KEPT).any()


def test_more_tokens_than_columns_are_gathered() -> None:
    keep_map = map_of(random_scores(1, 1, 5000), Threshold(0.9), PROTECTION)
    top, *_ = compression_heatmap(keep_map, n_tokens=5000)
    assert "tick below: any kept" in legend_of(top)
    assert top.get_xlim() == (0, 5000)


def test_the_users_settings_are_neither_read_nor_changed() -> None:
    expected = panel_of(compression_heatmap(random_choice())[0]).tobytes()
    with matplotlib.rc_context({"font.size": 31.0, "axes.grid": True, "image.interpolation": "bilinear"}):
        before = dict(matplotlib.rcParams)
        result = panel_of(compression_heatmap(random_choice())[0]).tobytes()
        assert dict(matplotlib.rcParams) == before
    assert result == expected


@pytest.mark.parametrize("n_tokens", [0, -3])
def test_no_tokens_are_an_error(n_tokens: int) -> None:
    with pytest.raises(InputError, match=str(n_tokens)):
        compression_heatmap(streaming(), n_tokens=n_tokens)


def test_axes_that_have_no_panel_are_an_error() -> None:
    with pytest.raises(InputError, match="expected `ax` to be 1 or 2 or 3 Axes, got 4 Axes"):
        compression_heatmap(streaming(), ax=Figure().subplots(4, 1))
    with pytest.raises(InputError, match="expected `ax` to be 1 or 2 Axes, got 3 Axes"):
        compression_heatmap(budgeted(), ax=Figure().subplots(3, 1))


def disagreeing(threshold: float | None, n: int = 512) -> KeepMap:
    """Four entries for a token, of which token j has kept j % 5, none of them protected."""
    kept = torch.arange(4)[:, None] < torch.arange(n) % 5
    expires = torch.where(kept, n, torch.arange(n) + 1).reshape(2, 2, n)
    scores = kept.reshape(2, 2, n).to(torch.float32)
    return KeepMap(expires, scores, n_sink=0, window=0, threshold=threshold, held=kept.reshape(2, 2, n))


@pytest.mark.parametrize(("threshold", "row"), [(None, 0), (1.0, 1)])
def test_the_share_of_a_token_s_entries_is_its_colour(threshold: float | None, row: int) -> None:
    """Under a budget on top, under a threshold below the guide's panel; five shades that grow lighter in even steps."""
    axes = compression_heatmap(disagreeing(threshold))
    assert len(axes) == 2 + row
    picture, columns = panel_of(axes[row]), full_columns(panel_of(axes[row]), 512)
    shades = [picture[2:-2, columns[10 + share]].reshape(-1, 3) for share in range(5)]
    assert all((shade == shade[0]).all() for shade in shades)
    for token in range(15, 500):
        assert (picture[2:-2, columns[token]] == shades[token % 5][0]).all(), f"token {token}"
    assert is_colour(shades[0][None], EVICTED).all() and is_colour(shades[4][None], KEPT).all()
    grey = [float(shade[0] @ np.array([0.2126, 0.7152, 0.0722])) for shade in shades]
    steps = np.diff(grey)
    assert (steps > 12).all() and steps.max() < 2.5 * steps.min()


def test_a_budget_shows_one_density_whatever_layers_and_heads_agree_on() -> None:
    """A majority of 16 heads never agrees on random choices: nothing would be green, and a fifth is kept."""
    keep_map = map_of(random_scores(4, 4, 1024), Budget(density=0.2), info={"label": "Random", "density": 0.2})
    alike = map_of(random_scores(1, 1, 1024).expand(4, 4, 1024), Budget(density=0.2), info={"label": "One"})
    assert token_statistics(keep_map, 1024).n_compressible_kept < 20 < token_statistics(alike, 1024).n_compressible_kept
    texts = []
    for drawn in (keep_map, alike):
        top, _ = compression_heatmap(drawn)
        (text,) = [text.get_text() for text in top.texts if "Entries" in text.get_text()]
        assert text.startswith(f"Entries (layer x KV head x token): {drawn.density():.2%}")
        texts.append(text)
    assert texts[0] == texts[1]
    picture = panel_of(compression_heatmap(keep_map)[0])[60, 20:1780]
    assert not is_colour(picture[None], EVICTED).all()
