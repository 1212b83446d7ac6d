"""The pictures of lines in the browser: their numbers are those of the rows and of the KeepMaps."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.kinds import kind_of_token
from keepmap.drawing.page.write import page_of
from tests.conformance.page.conftest import N
from tests.drawing.page.every_value import values
from tests.drawing.page.pages import compared, keep_maps, words


def table(page, place: str) -> list[list[str]]:
    return page.eval_on_selector_all(
        f"{place} tbody tr", "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
    )


def test_every_row_of_every_run_is_a_point_and_the_front_is_ringed(opened):
    page = opened("view=tradeoff")
    assert page.locator("section > div > svg.chart .point").count() == 6
    page.click("summary")
    page.wait_for_function("document.querySelectorAll('details tbody tr').length === 6")
    rows = table(page, "details")
    best = [row for row in rows if row[-1] == "yes"]
    assert len(rows) == 6 and page.locator("section > div > svg.chart circle").count() == len(best) > 0
    # Costs grow from method to method: those that hold less than all before them are the front.
    assert {row[0].removeprefix("Other ") for row in best} >= {"H2O", "STREAMING_LLM"}
    page.focus("svg.chart .point >> nth=0")
    assert "footprint" in page.inner_text(".readout")
    with page.expect_download() as download:
        page.click('button:has-text("Save as SVG")')
    svg = Path(download.value.path()).read_text()
    assert svg.startswith("<svg") and "ΔNLL" in svg and "var(" not in svg
    # A picture that is sent alone says what it shows, of which run, and what its signs mean.
    words = " ".join(re.sub(r"<[^>]+>", " ", svg).split())
    for part in ("Trade-off:", "first:", "density", "Cost ΔNLL", "H2O", "KVZAP"):
        assert part in words, part


def test_rows_that_hold_the_same_stand_side_by_side_run_by_run(opened, tmp_path):
    same = dict.fromkeys(("h2o", "kvzap"), keep_maps(60)["h2o"])
    runs = [ReportedRun(value=compared(same), name=name) for name in ("first", "second")]
    path = tmp_path / "same.html"
    path.write_text(page_of([*runs, ReportedRun(value=values()["eviction"])]), encoding="utf-8")
    page = opened("view=tradeoff", path)
    assert page.inner_text(".readout") == "Of each method, from left to right: first, second"
    boxes = [point.bounding_box()["x"] for point in page.query_selector_all("section > div > svg.chart .point")]
    assert len({round(x) for x in boxes}) == 4
    page.focus("svg.chart .point >> nth=1")
    assert "H2O in second: " in page.inner_text(".readout")
    select = page.query_selector('label:has-text("Size") select')
    assert select.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_runs_of_other_models_or_lengths_are_told_apart_and_have_fronts_of_their_own(opened, tmp_path):
    value = compared(keep_maps(60))
    other = replace(value, configuration={**value.configuration, "model_name": "other", "max_length": 9})
    path = tmp_path / "models.html"
    path.write_text(
        page_of([ReportedRun(value=each, name=name) for each, name in ((value, "first"), (other, "second"))])
    )
    page = opened("view=tradeoff", path)
    assert "differ in model_name, max_length" in page.inner_text("p.warnings")
    chart = page.locator("section > div > svg.chart")
    page.wait_for_function("document.querySelectorAll('section > div > svg.chart .point').length === 6")
    assert chart.locator("polyline").count() == 0
    labels = chart.locator(".point").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert any("H2O in second (B, other): " in label for label in labels)
    page.click("summary")
    page.wait_for_function("document.querySelectorAll('details tbody tr').length === 6")
    rows = table(page, "details")
    best = [[row[0] for row in rows if row[2] == letter and row[-1] == "yes"] for letter in "AB"]
    assert best[0] == best[1] != []
    # What holds the same stands side by side.
    places = chart.locator(".point").evaluate_all("all => all.map(one => one.getBoundingClientRect().x)")
    assert len({round(place) for place in places}) == 6


def test_the_share_of_each_kind_is_that_of_the_keep_map(opened):
    page = opened("view=kinds&method=kvzap")
    keep_map, kinds = keep_maps(N)["kvzap"], [kind_of_token(piece) for piece in words(N)]
    kept, free = keep_map.kept().double().mean((0, 1)), ~keep_map.protected()
    shown = {row[0]: row for row in table(page, "section")}
    assert set(shown) == {*kinds, "span: question", "span: answer", "all"}
    for kind in set(kinds):
        own = [at for at in range(N) if kinds[at] == kind and free[at]]
        assert shown[kind][1] == str(kinds.count(kind))
        assert float(shown[kind][3].removesuffix(" %")) == pytest.approx(100 * float(kept[own].mean()), abs=0.06)
    assert shown["all"][3] == f"{100 * keep_map.compressible_density():.1f} %"


def test_what_became_of_a_stretch_is_in_its_expiries(opened):
    page = opened("view=evidence&start=40&end=52&method=h2o")
    assert "Tokens 40 to 51: “" in page.inner_text(".readout")
    for row, (name, keep_map) in zip(
        table(page, ".view > div.table, .view > div > .table"), keep_maps(N).items(), strict=False
    ):
        held, gone = keep_map.held[:, :, 40:52], keep_map.expires[:, :, 40:52] - 1
        assert row[0] == name.upper() and row[1] == f"{100 * float(held.double().mean()):.1f} %"
        last = "never" if held.any() else f"{int(gone.max()):,}"
        assert row[3] == last
    cells = page.eval_on_selector_all("table.heads td", "cells => cells.map(cell => cell.textContent)")
    assert cells == [f"{count} / 12" for count in keep_maps(N)["h2o"].held[:, :, 40:52].sum(2).flatten().tolist()]
    # Not at the end alone: of what was read by then, what is still seen by a later query.
    for query in (45, 150, N - 2):
        page.evaluate("place => { location.hash = place; }", f"view=evidence&start=40&end=52&method=h2o&step={query}")
        page.wait_for_function(f"document.querySelector('table.heads caption').textContent.includes(' query {query},')")
        seen = (keep_maps(N)["h2o"].expires[:, :, 40:52] > query + 1) & (torch.arange(40, 52) <= query)
        cells = page.eval_on_selector_all("table.heads td", "cells => cells.map(cell => cell.textContent)")
        assert cells == [f"{count} / 12" for count in seen.sum(2).flatten().tolist()]
    page.click('button:has-text("answer")')
    assert "start=200&end=203" in page.url and page.locator("svg.chart polyline").count() == 3
