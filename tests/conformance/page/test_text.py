"""The text in the browser: a token's share and reasons are the KeepMap's, few of many tokens are in the document."""

from pathlib import Path

import numpy as np

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.write import page_of
from tests.conformance.page.conftest import N, restored
from tests.drawing.page.pages import compared, keep_maps, lone_map, words


def rows(page):
    return page.eval_on_selector_all(
        ".detail tbody tr", "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
    )


def test_the_details_of_a_token_are_those_of_the_keep_map(opened):
    page = opened("view=text&token=1")
    for method, token in (("h2o", 0), ("h2o", 150), ("kvzap", 100), ("kvzap", 299), ("streaming_llm", 60)):
        keep_map = keep_maps(N)[method]
        restored(page, f"view=text&method={method}&token={token}", f"token {token}, ")
        kept = keep_map.kept()[:, :, token]
        assert f"{round(100 * float(kept.double().mean()))} % of its 6 entries" in page.inner_text(".detail")
        for layer, head, _, score, rank, why in rows(page):
            place = (int(layer), int(head), token)
            scores = keep_map.scores[place[:2]].numpy()
            assert abs(float(score) - scores[token]) < 0.01
            assert abs(int(rank) - 1 - int((scores > scores[token]).sum())) <= 3  # scores are rounded
            gone = int(keep_map.expires[place])
            if token < 4:
                assert why == "sink: protected"
            elif token >= N - 16:
                assert why == "window: protected"
            elif bool(kept[place[:2]]):
                assert why.endswith("held") and ("≥ 0.6" in why) == (method == "kvzap")
            elif gone < N:
                assert why.startswith(f"evicted after query {gone - 1}: ")
            else:
                assert why.startswith("evicted after the last query: ")


def test_arrows_go_from_token_to_token_and_say_which(opened):
    page = opened("view=text")
    page.focus(".scroller")
    for key, token in (("ArrowRight", 1), ("End", N - 1), ("ArrowRight", N - 1), ("ArrowLeft", N - 2), ("Home", 0)):
        page.keyboard.press(key)
        assert f"Token {token}\n" in page.inner_text(".detail") and f"token {token}, " in page.inner_text("#live")
        assert page.inner_text(".t.now").strip() == words(N)[token].strip().replace("\n", "⏎") or token == N - 1
    page.keyboard.press("ArrowDown")
    assert page.locator(".line >> nth=1").locator(".t.now").count() == 1
    page.click('.t[data-at="44"]')
    assert "token=44" in page.url


def test_search_goes_from_match_to_match_across_tokens(opened):
    page = opened("view=text")
    page.focus(".scroller")
    page.keyboard.press("/")
    page.keyboard.type("w100 w101")
    assert page.inner_text("output") == "1 hit"
    page.keyboard.press("Enter")
    assert "token=100" in page.url and page.locator(".t.match").count() == 2
    page.fill('input[type="search"]', "w10")
    assert page.inner_text("output") == "8 hits"
    page.focus(".scroller")
    for token in (101, 103):
        page.keyboard.press("n")
        assert f"token={token}" in page.url


def test_search_finds_letters_whose_bytes_are_in_several_tokens(opened, tmp_path):
    pieces = ("Say ", r"\xd8", r"\xb3", r"\xd9\x84", " ", r"\xf0\x9f", r"\x98\x80", r"\x20\xc4", r"\xb0", "ST Über")
    path = tmp_path / "bytes.html"
    run = ReportedRun(value=compared({"h2o": lone_map(len(pieces), [(0, 0, 1)])}, pieces))
    path.write_text(page_of([run]), encoding="utf-8")
    page = opened("view=text", path)
    for looked, first, last in (("سل", 1, 3), ("😀", 5, 6), (" İst", 7, 9), ("üBER", 9, 9), ("y س", 0, 2)):
        page.fill('input[type="search"]', looked)
        assert page.inner_text("output") == "1 hit", looked
        hits = page.eval_on_selector_all(".t.match", "all => all.map(one => Number(one.dataset.at))")
        assert hits == [*range(first, last + 1)], looked
    page.fill('input[type="search"]', "nowhere")
    assert page.inner_text("output") == "0 hits"


def test_what_a_token_cost_can_be_its_colour(opened):
    page = opened("view=text&method=streaming_llm&colour=damage&token=5")
    costs = compared(keep_maps(N), words(N)).token_costs
    damage = costs["streaming_llm"].nll - costs["baseline"].nll
    assert f"{damage[4]:+.2f} nats".replace("-", "−") in page.inner_text(".detail")
    for token in (2, 3, 4):
        kind = page.get_attribute(f'.t[data-at="{token}"]', "class").split()
        assert ("worse" in kind) == (damage[token - 1] > 0)
    with page.expect_download() as download:
        page.click('.controls button:has-text("Save as CSV")')
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "position,token,share kept,ΔNLL" and np.isclose(float(lines[4].split(",")[-1]), damage[2], 0.01)


def test_of_a_hundred_thousand_tokens_those_in_sight_are_in_the_document(opened, tmp_path):
    n = 100_000
    run = ReportedRun(value=compared({"h2o": lone_map(n, [(0, 1, 77_777)])}, words(n)))
    path = tmp_path / "long.html"
    path.write_text(page_of([run]), encoding="utf-8")
    page = opened("view=text&token=77777", path)
    assert page.locator(".t").count() < 3000 and "50 % of its 2 entries" in page.inner_text(".detail")
    page.focus(".scroller")
    page.keyboard.press("End")
    assert page.inner_text(".t.now") == "⏎" and "Token 99,999\n" in page.inner_text(".detail")


def test_the_legend_is_painted_as_the_tokens_are(opened, tmp_path):
    path = tmp_path / "half.html"
    run = ReportedRun(value=compared({"h2o": lone_map(4, [(0, 0, 1), (0, 1, 1), (0, 0, 2)])}, words(4)))
    path.write_text(page_of([run]), encoding="utf-8")
    page = opened("view=text", path)
    paint = "all => all.map(one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color])"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        evicted, half, kept, *_ = page.eval_on_selector_all(".key .t", paint)
        assert len({evicted[0], half[0], kept[0]}) == 3
        assert page.eval_on_selector_all(".lines .t", paint)[1:] == [kept, half, evicted]
