"""A value's page as a file, and in a notebook: sandboxed, beside a table; too large or without its files, the table."""

import dataclasses
import html
import re

import pytest

from keepmap.core.outside.reporting import framed, write_page
from keepmap.errors import InputError
from tests.drawing.page.every_value import NAMES, values


def test_a_keep_map_writes_its_page_and_shows_a_card(tmp_path):
    keep_map = values()["keep_map"]
    assert "iframe" not in keep_map._repr_html_()
    text = keep_map.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{keep_map.density():.1%} of the cache" in text


@pytest.mark.parametrize("name", [name for name in NAMES if name != "keep_map"])
def test_every_value_writes_its_page_and_shows_it_in_a_sandbox(name, tmp_path):
    value = values()[name]
    path = value.report(tmp_path / "report.html")
    shown = value._repr_html_()
    frame = re.fullmatch(
        r'<iframe sandbox="allow-scripts allow-downloads" .* srcdoc="([^"]*)"></iframe><details>(.*)', shown, re.S
    )
    assert html.unescape(frame[1]) == path.read_text(encoding="utf-8")
    assert "<td" in frame[2] and "<script" not in frame[2]


def test_a_page_that_is_too_large_leaves_the_table(monkeypatch):
    monkeypatch.setattr("keepmap.core.outside.reporting.LARGEST", 10_000)
    assert framed(values()["comparison"], "<table>") == (
        "<table><p>The page is too large for a notebook: .report(path) writes it as a file.</p>"
    )


class Gone(dict):
    def __iter__(self):
        raise InputError("no KeepMap at <b>: no such file")


def test_a_value_whose_files_are_gone_leaves_the_table_and_says_so():
    value = dataclasses.replace(values()["comparison"], keep_maps=Gone())
    assert framed(value, "<table>") == "<table><p>No page: no KeepMap at &lt;b&gt;: no such file</p>"


def test_options_go_to_the_page(tmp_path):
    path = write_page(values()["history"], tmp_path / "report.html", about={"length": 3})
    assert "at most 3." in path.read_text(encoding="utf-8")
