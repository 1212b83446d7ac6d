"""A page of every kind of value in the browser: its views, keys and exports, and no serious fault of accessibility."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import TimeoutError

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.spans import Span
from keepmap.drawing.page.write import page_of
from tests.conformance.page.conftest import READY
from tests.drawing.page.every_value import NAMES, values

VIEWS = {
    "attention": ["summary", "text", "map", "kinds", "evidence", "attention"],
    "comparison": ["summary", "text", "map", "pair", "tradeoff", "kinds", "evidence"],
    "history": ["summary", "agent"],
    "evaluation": ["summary", "agent"],
    "eviction": ["summary", "text", "map", "kinds", "evidence"],
    "family": ["summary", "agent"],
    "keep_map": ["summary", "map", "evidence"],
    "generation": ["summary", "map", "evidence", "generations"],
    "study": ["summary", "agent"],
    "suggestion": ["summary"],
    "surrogate": ["summary"],
    "tasks": ["summary", "answers"],
    "verification": ["summary"],
}
PLACES = [(name, view) for name in NAMES for view in VIEWS[name]]


@pytest.fixture(scope="session")
def everything(tmp_path_factory) -> Path:
    """A run of each kind of value on one page."""
    eviction = values()["eviction"].keep_map
    runs = [
        ReportedRun(value=values()[name], evicted={"H2O": eviction} if name == "attention" else {}) for name in NAMES
    ]
    path = tmp_path_factory.mktemp("values") / "report.html"
    path.write_text(page_of(runs, spans=[Span("question", 20, 60)]), encoding="utf-8")
    return path


def hash_of(name: str, view: str) -> str:
    return f"view={view}&run={NAMES.index(name)}"


def go(page, place: str, view: str) -> None:
    """To another place of the same page, as a link does; the view that was there is gone when this one is."""
    page.evaluate(
        "place => { document.querySelector('main').firstChild.dataset.old = 1; location.hash = place; }", place
    )
    page.wait_for_selector(f"section.{view}:not([aria-busy]):not([data-old])", timeout=20_000)


def saved(page, button) -> bytes:
    """What a button saves, by the keyboard; pressed again where the browser, busy with a new hash, let it go.

    A file of another kind comes late, from a button that was pressed twice.
    """
    kind = button.inner_text().removeprefix("Save as ").lower()
    for patience in (3_000, 6_000, 12_000):
        try:
            with page.expect_download(
                lambda file: file.suggested_filename.endswith(kind), timeout=patience
            ) as download:
                button.press("Enter")
            return Path(download.value.path()).read_bytes()
        except TimeoutError:
            continue
    pytest.fail(f"nothing was saved by {button.inner_text()}")


def test_each_value_has_its_views_which_fit_print_and_have_no_serious_fault(opened, everything):
    page = opened(hash_of("verification", "summary"), everything)
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    faults, looked = {}, set()
    for name, view in PLACES:
        go(page, hash_of(name, view), view)
        tabs = page.eval_on_selector_all('[role="tab"]', "tabs => tabs.map(tab => tab.id.slice(4))")
        assert tabs == VIEWS[name]
        assert page.query_selector("section [role=alert]") is None, (name, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280, (name, view)
        # The view of agents is another one for each kind of value.
        kind = (view, name if view == "agent" else "")
        if kind in looked:
            continue
        looked.add(kind)
        violations = page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations)"
        )
        serious = {
            fault["id"]: [node["html"][:160] for node in fault["nodes"][:3]]
            for fault in violations
            if fault["impact"] in ("serious", "critical")
        }
        if serious:
            faults[name, view] = serious
    assert faults == {}


@pytest.mark.parametrize("width", [400, 2560])
def test_each_view_fits_narrow_and_wide(opened, everything, width):
    page = opened(hash_of("verification", "summary"), everything, width=width)
    for name, view in PLACES:
        go(page, hash_of(name, view), view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, view)


def test_every_view_prints_on_a4_without_controls(opened, everything):
    page = opened(hash_of("verification", "summary"), everything)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 688, "height": 1000})  # 182 mm at 96 pixels per inch
    for name, view in PLACES:
        go(page, hash_of(name, view), view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 688, (name, view)
        assert not page.is_visible("nav") and page.locator("main button:visible:not(thead button)").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_every_export_of_every_view_is_a_file(opened, everything):
    page = opened(hash_of("verification", "summary"), everything)
    exports = set()
    starts = {"PNG": b"\x89PNG", "SVG": b"<svg", "CSV": None}
    for name, view in PLACES:
        go(page, hash_of(name, view), view)
        page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
        buttons = page.locator("main button", has_text="Save as")
        page.wait_for_function("[...document.querySelectorAll('details')].every(one => one.querySelector('table, dl'))")
        for number in range(buttons.count()):
            kind = buttons.nth(number).inner_text().removeprefix("Save as ")
            content = saved(page, buttons.nth(number))
            assert content.startswith(starts[kind]) if starts[kind] else content.count(b"\n") > 1, (name, view)
            assert kind != "SVG" or b"var(" not in content
            exports.add((view, kind))
    for view in ("map", "pair", "attention", "agent", "answers"):
        assert {(view, "PNG"), (view, "CSV")} <= exports
    for view in ("tradeoff", "kinds", "evidence", "agent", "attention", "generations"):
        assert (view, "SVG") in exports


def test_attention_goes_from_head_to_head_and_shows_what_an_eviction_takes(opened, everything):
    page = opened(hash_of("attention", "attention") + "&layer=1&head=1&by=H2O", everything)
    profile, expires = values()["attention"], values()["eviction"].keep_map.expires
    row = profile.rows[:, :, -1]
    gone = (expires <= profile.shape[2] - 1)[:, list(profile.kv_heads)]
    lost = (row * gone).sum(-1)
    words = page.inner_text("section.attention")
    assert f"{100 * float(lost[1, 1]):.1f} % of this head's, {100 * float(lost.mean()):.1f} % over all heads" in words
    page.focus("section.attention canvas >> nth=0")
    page.keyboard.press("ArrowRight")
    assert "head=2" in page.url
    assert f"layer 1, head 2: entropy / ln n {float(profile.normalised_entropy[1, 2].nanmean()):.2f}" in (
        page.inner_text(".readout >> nth=0")
    )
    page.focus("section.attention canvas >> nth=1")
    for key in ("End", "ArrowUp", "ArrowLeft", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert "key=" in page.url and "query=10" in page.url
    page.select_option('label:has-text("Measure") select', "1")
    assert "measure=1" in page.url and "sink mass" in page.inner_text(".readout >> nth=0")
    page.click("summary")
    page.wait_for_selector("details tbody tr")
    heads = page.eval_on_selector_all(
        "details tr", "rows => rows.map(row => [...row.children].map(cell => cell.innerText))"
    )
    to_span = [float(row[heads[0].index("to question")].removesuffix(" %")) for row in heads[1:]]
    np.testing.assert_allclose(to_span, 100 * profile.shares[:, :, 20:60].sum(-1).flatten(), atol=0.06)
    again = opened(page.url.split("#")[1], everything)
    assert again.inner_text(".readout >> nth=0") == page.inner_text(".readout >> nth=0")


def test_a_history_says_of_each_step_what_was_seen_done_and_held(opened, everything):
    page = opened(hash_of("history", "agent") + "&row=2&token=18&shade=recency", everything)
    assert page.inner_text(".readout").startswith("episode 3, step 19, state (")
    assert "reward 1.00; held by " in page.inner_text(".readout") and "recency" in page.inner_text(".readout")
    place, url = page.eval_on_selector("canvas", "canvas => [{...canvas.dataset}, canvas.toDataURL()]")
    assert url.startswith("data:image/png") and float(place["wide"]) == 34
    page.focus("canvas")
    page.keyboard.press("Home")
    assert page.inner_text(".readout").startswith("episode 3, step 1, state (")
    page.click("summary")
    page.wait_for_selector("details tbody tr")
    rows = page.eval_on_selector_all("details tbody tr", "rows => rows.map(row => row.children[4].textContent)")
    assert rows == [f"{reward:.2f}" for reward in values()["history"].history.rewards[0].tolist()]


def test_returns_are_a_curve_and_a_row_for_each_goal(opened, everything):
    evaluation = values()["evaluation"]
    page = opened(hash_of("evaluation", "agent") + "&row=0&token=5", everything)
    assert page.inner_text(".readout") == f"goal 4,2, episode 6: return {evaluation.returns[0, 5]:.2f} of 19.00 at best"
    page.click("summary")
    page.wait_for_selector("details tbody tr")
    means = page.eval_on_selector_all("details tbody tr", "rows => rows.map(row => +row.children[1].textContent)")
    np.testing.assert_allclose(means, evaluation.returns.mean(0), atol=1e-4)


def test_a_study_says_each_point_in_focus(opened, everything):
    page = opened(hash_of("study", "agent"), everything)
    rows = [row for row in values()["study"].results if row.compressor != "baseline" and row.share is not None]
    assert page.locator("svg.chart .point").count() == len(rows) > 0
    page.focus("svg.chart .point >> nth=0")
    assert "of the baseline's return" in page.inner_text(".readout")


def test_a_study_of_a_family_has_a_front_and_a_curve_for_each_choice_of_a_budget(opened, everything):
    study = values()["family"]
    page = opened(hash_of("family", "agent") + "&shorter=80", everything)
    assert page.locator("svg.chart >> nth=0").locator(".point").count() == len(study.results) - 1
    assert page.locator("svg.chart >> nth=0").locator("circle").count() == sum(
        "kept" in row.fronts.split() for row in study.results[1:]
    )
    page.focus("svg.chart .point >> nth=0")
    assert page.inner_text(".readout").startswith("bad 80%: normalised return 0.20 [") or page.inner_text(
        ".readout"
    ).startswith("bad 50%: normalised return 0.50 [")
    page.click("summary")
    page.wait_for_selector("details tbody tr")
    rows = page.eval_on_selector_all(
        "details tbody tr", "rows => rows.map(row => [...row.children].map(cell => +cell.textContent))"
    )
    at = {row.label: curve for row, curve in zip(study.results, study.curves, strict=True)}
    for place, name in enumerate(("baseline", "bad 80%", "good 80%"), start=1):
        np.testing.assert_allclose([row[place] for row in rows], at[name], atol=1e-4)
    page.select_option('label:has-text("Shorter by") select', "50")
    assert "shorter=50" in page.url and "50 % shorter" in page.get_attribute("svg.chart >> nth=1", "aria-label")


def test_two_answers_part_where_they_first_differ(opened, everything):
    generation = values()["generation"]
    page = opened(hash_of("generation", "generations"), everything)
    answers = page.eval_on_selector_all(".said", "all => all.map(one => one.textContent)")
    assert len(answers) == 2
    common = 0
    for letter, other in zip(generation.text, generation.full.text, strict=False):
        if letter != other:
            break
        common += 1
    if generation.divergence is None:
        assert generation.text == generation.full.text and "same tokens" in page.inner_text(".about")
    else:
        assert f"is new token {generation.divergence}, from 0 on" in page.inner_text(".about")
        starts = page.eval_on_selector_all(".same", "all => all.map(one => one.textContent.replaceAll('\\u23ce', ''))")
        assert starts == [generation.text[:common]] * 2


def test_questions_have_a_picture_for_each_task_their_evidence_and_both_answers(opened, everything):
    run = values()["tasks"]
    page = opened(hash_of("tasks", "answers") + "&method=streaming_llm&density=0.2", everything)
    assert page.locator(".multiples svg").count() == 1 and page.locator(".multiples .point").count() == 4
    page.focus(".multiples .point >> nth=0")
    assert "H2O on facts, " in page.inner_text(".readout >> nth=0") and "evidence kept" in page.inner_text(
        ".readout >> nth=0"
    )
    row = next(row for row in run.summary if row.method == "streaming_llm" and row.density == 0.2)
    cells = page.eval_on_selector_all(
        "tbody tr", "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
    )
    (kept,) = [line for line in cells if line[:2] == ["StreamingLLM", "0.20"]]
    assert kept[3] == f"{100 * row.mass:.1f} %"
    assert kept[4:8] == [str(count) for count in (row.kept_right, row.kept_wrong, row.lost_right, row.lost_wrong)]
    right = [answer for answer in run.of("facts", "streaming_llm", 0.2) if answer.score == 1.0]
    wrong = [answer for answer in run.of("facts", "streaming_llm", 0.2) if answer.score != 1.0]
    headings = page.eval_on_selector_all(".cards h3", "all => all.map(one => one.textContent)")
    assert headings == [f"Answered right: mean of {len(right)}"] * bool(right) + [f"Not right: mean of {len(wrong)}"]
    share = np.mean([answer.by_head for answer in wrong], axis=0)[0][1]
    page.focus(".cards section:last-child canvas")
    page.keyboard.press("ArrowRight")
    words = page.inner_text(".cards section:last-child .readout")
    assert words == f"layer 0, KV head 1: {100 * share:.1f} % of the evidence held"
    full = {(answer.sample, answer.question): answer.answer for answer in run.of("facts", "full", 1.0)}
    answers = [line for line in cells if len(line) == 10 and line[0].isdigit()]
    assert len(answers) == len(right) + len(wrong)
    first = next(answer for answer in wrong if answer.answer != full[answer.sample, answer.question])
    (line,) = [line for line in answers if line[:2] == [str(first.sample), str(first.question)]]
    assert line[2:4] == [first.target, full[first.sample, first.question].replace("\n", "⏎")] and "▶" in line[4]


def test_texts_have_pictures_of_their_own_and_spans_a_band(opened, everything):
    page = opened(hash_of("comparison", "tradeoff"), everything)
    assert page.locator(".multiples svg").count() == 4 and page.locator(".multiples .point").count() == 12
    page.focus(".multiples .point >> nth=1")
    assert "KVZAP on line 1, 120 tokens: ΔNLL" in page.inner_text(".readout")
    go(page, hash_of("comparison", "map") + "&token=30", "map")
    assert "position 30" in page.inner_text(".readout") and ", in question: " in page.inner_text(".readout")
    go(page, hash_of("comparison", "text") + "&token=30", "text")
    assert "Token 30, in question" in page.inner_text(".detail")
    page.hover('.t[data-at="10"]')
    assert "Token 10\n" in page.inner_text(".detail") and "token=30" in page.url


def test_a_notebook_shows_every_value_in_a_frame(opened, tmp_path):
    outer = tmp_path / "notebook.html"
    names = [name for name in NAMES if name != "keep_map"]  # which shows a card
    cells = "".join(values()[name]._repr_html_() for name in names)
    outer.write_text(f"<!DOCTYPE html><title>notebook</title><main><section>cells</section></main>{cells}", "utf-8")
    page = opened("", outer)
    page.eval_on_selector_all("iframe", "all => all.forEach(frame => { frame.loading = 'eager'; })")
    for number, name in enumerate(names):
        element = page.query_selector_all("iframe")[number]
        element.scroll_into_view_if_needed()
        frame = element.content_frame()
        frame.wait_for_selector(READY)
        assert frame.inner_text("h1") == f"keepmap: {name}"
        # A profile by itself has no maps: its one view beside the summary is its own.
        frame.click(f"#tab-{VIEWS[name][-1]}")
        frame.wait_for_selector(f"section.{VIEWS[name][-1]}:not([aria-busy])")
    assert element.get_attribute("sandbox") == "allow-scripts allow-downloads"
