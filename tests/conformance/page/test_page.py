"""The page in a browser: its views by keys, hash and run; hostile texts; a frame; print; nothing asked of a network."""

import html
from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.write import page_of
from keepmap.kv.tasks.results.task_run import Gate
from tests.conformance.page.conftest import READY
from tests.drawing.page.pages import HOSTILE, compared, lone_map
from tests.drawing.page.values.test_tasks import run as answered

VIEWS = ["summary", "text", "map", "pair", "tradeoff", "kinds", "evidence"]


def selected(page) -> str:
    return page.get_attribute('[role="tab"][aria-selected="true"]', "id").removeprefix("tab-")


def test_each_view_opens_by_its_key_and_by_arrows_and_the_hash_holds_it(opened):
    page = opened()
    assert [
        tab.removeprefix("tab-") for tab in page.eval_on_selector_all('[role="tab"]', "tabs => tabs.map(t => t.id)")
    ] == VIEWS
    for number, name in enumerate(VIEWS, start=1):
        page.keyboard.press(str(number))
        page.wait_for_selector(f"section.{name}:not([aria-busy])")
        assert selected(page) == name and f"view={name}" in page.url
    page.focus(f"#tab-{VIEWS[-1]}")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"section.{VIEWS[0]}:not([aria-busy])")
    assert page.evaluate("document.activeElement.id") == f"tab-{VIEWS[0]}"
    page.keyboard.press("?")
    assert page.is_visible("dialog")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_a_view_that_was_left_is_not_held_in_memory(opened):
    page = opened("view=summary")
    collector = page.context.new_cdp_session(page)
    for view, following in (("text", "map"), ("map", "pair"), ("tradeoff", "text")):
        page.evaluate("view => { location.hash = `view=${view}`; }", view)
        # Not wait_for_selector: what that returns holds the view.
        page.locator(f"section.{view}:not([aria-busy])").wait_for()
        page.evaluate("() => { globalThis.left = new WeakRef(document.querySelector('main section')); }")
        page.evaluate("view => { location.hash = `view=${view}`; }", following)
        page.locator(f"section.{following}:not([aria-busy])").wait_for()
        collector.send("HeapProfiler.collectGarbage")
        assert page.evaluate("globalThis.left.deref() === undefined"), view


def test_a_hash_restores_what_was_shown(opened):
    page = opened("view=text&run=1&method=kvzap&token=123&find=w7&colour=damage")
    assert selected(page) == "text" and "Token 123" in page.inner_text(".detail")
    assert page.eval_on_selector("header select", "select => select.value") == "1"
    assert "by Other KVZAP" in page.inner_text(".detail") and page.input_value('input[type="search"]') == "w7"
    assert opened("view=nowhere&run=99&token=x&method=%00").inner_text("h1") == "keepmap: 2 runs"


def test_the_summary_sorts_by_a_key_and_keeps_it(opened):
    page = opened("view=summary")
    assert "cannot be ranked by cost" in page.inner_text(".verdict") and "Not ranked" in page.inner_text(".warnings")
    page.focus('thead button:has-text("KL")')
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    cells = page.eval_on_selector_all("tbody tr", "rows => rows.map(row => row.firstChild.textContent)")
    assert cells[0] == "STREAMING_LLM" and page.get_attribute('thead th:has-text("KL")', "aria-sort") == "descending"
    assert "sort=KL&order=down" in page.url
    with page.expect_download() as download:
        page.click('button:has-text("Save as CSV")')
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith('method,ΔNLL,"95 % interval, low","95 % interval, high",KL') and len(lines) == 6
    assert [float(cell) for cell in lines[3].split(",")[2:4]] == pytest.approx([0.08, 0.13])


def test_hostile_names_and_tokens_run_nothing_and_are_seen(opened, tmp_path):
    n = len(HOSTILE)
    name = "</title><script>document.title='run'</script>\u202e"
    run = ReportedRun(value=compared({"h2o": lone_map(n, [(0, 0, 3)])}, HOSTILE, name), name=name, folder=name)
    path = tmp_path / "hostile.html"
    path.write_text(page_of([run]), encoding="utf-8", errors="strict")
    page = opened("view=text", path)
    assert page.title().startswith("keepmap: </title><script>")
    shown = page.eval_on_selector_all(".lines .t", "tokens => tokens.map(token => token.textContent)")
    assert (
        shown[2:4] == ["\\u202eabc", "\\u0000\\u001b[2J"]
        and shown[4] == "\ufffd"
        and shown[5:8] == ["é🙂", "'\"&amp;", "⏎"]
    )
    assert "1,000,000 characters" in shown[10] and shown[11] == "∅"
    assert page.query_selector("main img, main script") is None
    page.keyboard.press("1")
    page.wait_for_selector("section.summary:not([aria-busy])")
    assert "\\u202e" in page.inner_text("tbody") and page.title().startswith("keepmap: </title>")


def test_hostile_answers_run_nothing_and_are_seen(opened, tmp_path):
    name, (script, image, turned, *_) = "</title><script>document.title='run'</script>\u202e", HOSTILE
    answers = tuple(
        replace(answer, task=name, label=name + answer.label, answer=f"{image}{turned}\n{answer.sample}", target=script)
        for answer in answered().answers
    )
    answers = tuple(
        replace(answer, answer="\x00\x1b[2J\ud800" + "x" * 100_000) if answer.method == "full" else answer
        for answer in answers
    )
    run = answered(answers=answers, gates={name: Gate(score=1.0, passes=True)})
    path = tmp_path / "hostile.html"
    path.write_text(page_of([ReportedRun(value=run, name=name)]), encoding="utf-8", errors="strict")
    page = opened("view=answers&method=h2o&density=0.2", path)
    assert page.title().startswith("keepmap: </title><script>")
    assert page.query_selector("main img, main script") is None
    cells = page.inner_text("section.answers table >> nth=-1")
    assert script in cells and image in cells and "\\u202eabc⏎" in cells and "\\u0000\\u001b[2J" in cells
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.focus(".multiples .point >> nth=0")
    assert "</title><script>" in page.inner_text(".readout >> nth=0") and "\u202e" not in page.inner_text("main")


def test_it_works_inside_a_sandboxed_frame_without_a_url(opened, report, tmp_path):
    outer = tmp_path / "outer.html"
    content = html.escape(report.read_text(encoding="utf-8"))
    inner = f'<iframe sandbox="allow-scripts" srcdoc="{content}"></iframe>'
    outer.write_text(f"<!DOCTYPE html><main><section>outer</section></main>{inner}")
    frame = opened("", outer).frames[1]
    frame.wait_for_selector(READY)
    frame.click("#tab-text")
    frame.wait_for_selector("section.text:not([aria-busy]) .t")
    frame.focus(".scroller")
    frame.press(".scroller", "ArrowRight")
    assert "Token 1" in frame.inner_text(".detail")


def test_it_fits_narrow_and_wide_and_prints_without_controls(opened):
    for width in (400, 2560):
        page = opened(width=width)
        for number, name in enumerate(VIEWS, start=1):
            page.keyboard.press(str(number))
            page.wait_for_selector(f"section.{name}:not([aria-busy])")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        page.close()
    page = opened("view=summary")
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.is_visible("nav")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_can_be_told_from_their_background(opened, scheme):
    page = opened()
    page.emulate_media(color_scheme=scheme)
    colours = page.evaluate(
        "names => Object.fromEntries(names.map(name => [name, "
        "getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()]))",
        [*("back", "text", "muted", "panel", "accent", "warn", "warn-back"), "kept", "evicted", "only-a", "neither"],
    )

    def light(name):
        parts = [int(colours[name][at : at + 2], 16) / 255 for at in (1, 3, 5)]
        return sum(
            share * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
            for share, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
        )

    def contrast(one_name, other):
        low, high = sorted((light(one_name), light(other)))
        return (high + 0.05) / (low + 0.05)

    texts = [("text", "back"), ("muted", "back"), ("muted", "panel"), ("accent", "back"), ("warn", "warn-back")]
    assert {pair: contrast(*pair) for pair in texts if contrast(*pair) < 4.5} == {}
    assert {pair: contrast(*pair) for pair in [("kept", "evicted"), ("only-a", "neither")] if contrast(*pair) < 3} == {}


def test_the_keys_of_a_view_work_right_after_its_tab_and_not_while_one_types(opened):
    page = opened("view=summary")
    page.keyboard.press("2")
    page.wait_for_selector("section.text:not([aria-busy])")
    assert page.evaluate("document.activeElement.id") == "tab-text"
    page.keyboard.press("/")
    page.keyboard.type("w13")
    assert page.input_value('input[type="search"]') == "w13" and selected(page) == "text"
    page.click("#tab-map")
    page.wait_for_selector("section.map:not([aria-busy])")
    assert page.evaluate("document.activeElement.id") == "tab-map"
    for key, part in (("[", "step=298"), ("+", "from=")):
        page.keyboard.press(key)
        assert part in page.url
    page.keyboard.press("ArrowRight")
    assert selected(page) == "pair"


def test_paper_says_what_was_chosen_and_has_all_of_the_text(opened):
    page = opened("view=text&method=kvzap")
    page.emulate_media(media="print")
    assert page.is_visible('label:has-text("Method") select') and not page.is_visible('input[type="search"]')
    page.wait_for_function("document.querySelectorAll('.lines .t').length === 300")
    box, last = page.locator(".scroller").bounding_box(), page.locator(".line >> nth=-1").bounding_box()
    assert last["y"] + last["height"] <= box["y"] + box["height"] + 1


def test_four_states_of_two_methods_differ_in_lightness(opened):
    page = opened("view=pair")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours = page.evaluate(
            "['both', 'only-a', 'only-b', 'neither'].map(name => "
            "getComputedStyle(document.documentElement).getPropertyValue(`--${name}`))"
        )
        grey = sorted(
            sum(share * int(colour.strip()[at : at + 2], 16) for share, at in ((0.3, 1), (0.59, 3), (0.11, 5)))
            for colour in colours
        )
        assert min(high - low for low, high in zip(grey, grey[1:], strict=False)) > 50, (scheme, grey)


def test_a_saved_file_is_named_after_its_run_and_what_was_chosen(opened):
    page = opened("view=pair&run=1&a=kvzap&b=h2o")
    for kind, name in (("PNG", "second-pair-kvzap-h2o.png"), ("CSV", "second-consensus-kvzap-h2o.csv")):
        with page.expect_download() as download:
            page.click(f'main button:visible:has-text("Save as {kind}")')
        assert download.value.suggested_filename == name
