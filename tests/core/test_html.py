"""What values show of themselves in a notebook: valid, small, escaped, and the right pixels."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keepmap.core.html import EVICTED_TO_KEPT, card, number, shares, strip
from keepmap.core.keep_map import KeepMap
from keepmap.core.labels import model_label
from keepmap.drawing.parts.style import EVICTED, KEPT
from keepmap.kv.choosing import Budget, Protection, Threshold
from tests.drawing.maps import budgeted, lone_tokens, map_of, random_scores, rgb
from tests.drawing.profiles import profile_of

HOSTILE = "<script>alert('x')</script><img src=x onerror=\"y\">&amp;"


class Checked(HTMLParser):
    """Every tag closed in its order; what was seen."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        assert all((value or "").startswith("data:image/png") for name, value in attrs if name in {"src", "href"})
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def beside_the_frame(page: str) -> str:
    """What is shown beside the page in a frame, which has tests of its own: the plain table."""
    frame, _, rest = page.partition("</iframe>")
    assert frame.startswith("<iframe sandbox=")
    return rest


def pictures(page: str) -> list[np.ndarray]:
    matches = re.findall(r"data:image/png;base64,([^\"]+)", page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA")) for encoded in matches]


def test_a_profile() -> None:
    profile = profile_of(layers=2, heads=4, n=300)
    page = beside_the_frame(profile._repr_html_())
    seen = Checked(page)
    tags = {"details", "summary", "div", "b", "table", "thead", "tbody", "tr", "th", "td", "span", "img"}
    assert set(seen.tags) == tags
    assert seen.tags.count("tr") == 3
    assert f"{float(profile.entropy[1, :, -1].mean()):.3g}" in seen.text
    assert repr(profile) in seen.text
    entropy, sinks = pictures(page)
    assert entropy.shape == sinks.shape == (2, 4, 4)
    light = entropy[..., :3].sum(axis=-1).astype(int)
    order = profile.normalised_entropy[..., -1].flatten().argsort()
    assert (np.diff(light.ravel()[order]) >= 0).all()
    assert len(page) < 6000


def test_a_profile_of_few_queries_and_positions() -> None:
    for options in ({"queries": [3]}, {"n": 2}, {"queries": [0], "n": 5}):
        Checked(profile_of(**options)._repr_html_())
    assert pictures(profile_of(queries=[0], n=5)._repr_html_())[0][..., 3].max() == 0, "NaN is transparent"


def test_a_keep_map() -> None:
    keep_map = budgeted()
    page = keep_map._repr_html_()
    seen = Checked(page)
    assert repr(keep_map) in seen.text
    assert f"{float(keep_map.kept()[1].double().mean()):.1%}" in seen.text
    (picture,) = pictures(page)
    assert picture.shape == (2, 256, 4)
    kept = keep_map.kept().any(dim=1).numpy()
    edges = np.arange(257) * 1200 // 256
    expected = np.logical_or.reduceat(kept, edges[:-1], axis=1)
    np.testing.assert_array_equal((picture[..., :3] != rgb(EVICTED)).any(axis=-1), expected)


def test_a_lone_kept_token_is_seen() -> None:
    (picture,) = pictures(lone_tokens(100_000)._repr_html_())
    assert (picture[..., :3] != rgb(EVICTED)).any(axis=-1).sum() == 4


def test_all_kept_and_nothing_at_all() -> None:
    everything = map_of(torch.zeros(1, 1, 9), Threshold(-1.0), Protection(0, 0))
    assert (pictures(everything._repr_html_())[0][..., :3] == rgb(KEPT)).all()
    empty = KeepMap(torch.zeros(1, 2, 0, dtype=torch.int64), torch.zeros(1, 2, 0))
    Checked(empty._repr_html_())
    assert pictures(empty._repr_html_()) == []


def test_names_are_text() -> None:
    profile = profile_of(name=HOSTILE)
    keep_map = dataclasses.replace(budgeted(), info={"method": HOSTILE})
    for page in (profile._repr_html_(), keep_map._repr_html_(), strip(np.ones((1, 1)), HOSTILE, ends=(HOSTILE, "1"))):
        seen = Checked(page)
        assert "script" not in seen.tags and model_label(HOSTILE) in seen.text
    assert len(beside_the_frame(profile_of(name="x" * 10_000)._repr_html_())) < 6000


@pytest.mark.parametrize(("layers", "heads", "n"), [(80, 8, 5000), (32, 8, 100_000), (2, 1, 3)])
def test_the_page_is_small(layers: int, heads: int, n: int) -> None:
    keep_map = map_of(random_scores(layers, heads, 1000), Budget(density=0.3), Protection(4, 32))
    wide = KeepMap(
        torch.full((layers, heads, n), n, dtype=torch.int64),
        torch.zeros(layers, heads, n),
        held=torch.rand(layers, heads, n, generator=torch.Generator().manual_seed(0)) < 0.5,
    )
    for drawn_map in (keep_map, wide):
        page = drawn_map._repr_html_()
        assert len(page) < 16_000
        assert Checked(page).tags.count("tr") <= 18


def test_many_rows_are_cut_in_the_middle_and_it_says_so() -> None:
    seen = Checked(card("c", ("layer",), [(str(row),) for row in range(40)]))
    assert "… 24 more …" in seen.text and "\n7\n" in seen.text and "\n32\n" in seen.text and "\n8\n" not in seen.text


@given(st.integers(1, 3), st.integers(1, 700), st.integers(0, 99))
def test_shares_are_those_of_each_cell(rows: int, n: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, 2, n)) < 0.4
    result = shares(mask)
    columns = result.shape[1]
    assert columns == min(n, 256)
    edges = [n * cell // columns for cell in range(columns + 1)]
    expected = [[mask[row, :, a:b].mean() for a, b in zip(edges, edges[1:], strict=False)] for row in range(rows)]
    np.testing.assert_allclose(result, expected)


def test_colours_are_those_of_the_figures_and_no_number_is_a_dash() -> None:
    assert EVICTED_TO_KEPT == (EVICTED, KEPT)
    assert [number(value) for value in (float("nan"), 0.12345, 3.0)] == ["–", "0.123", "3"]


def test_little_is_told_from_nothing_and_nan_is_transparent() -> None:
    (picture,) = pictures(strip(np.array([[0.0, 0.001, 1.0, np.nan]]), "x", ("#000000", "#ffffff")))
    assert picture[0, :3, 0].tolist() == sorted(set(picture[0, :3, 0].tolist()))
    assert picture[0, 0, 0] == 0 and picture[0, 2, 0] == 255
    assert picture[0, :, 3].tolist() == [255, 255, 255, 0]


def test_a_square_picture_is_as_wide_as_its_columns() -> None:
    page = strip(np.ones((2, 5)), "x", square=True)
    assert "width:60px;max-width:100%;height:24px" in page
    assert "width:100%;height:24px" in strip(np.ones((2, 5)), "x")


def test_what_a_terminal_or_a_direction_would_change_is_shown_as_an_escape() -> None:
    evil = "a\x1b[2J\u202e<b>"
    page = card(evil, (evil,), [(evil,)], [strip(np.zeros((1, 1)), evil, ends=(evil, evil))])
    assert page.count("a\\x1b[2J\\u202e&lt;b&gt;") == 7 and "\x1b" not in page and "\u202e" not in page
    assert model_label(f"/models/{evil}") == "a\\x1b[2J\\u202e<b>"
