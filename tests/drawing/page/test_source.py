"""The page's sources: few bytes, no network in them, and a policy that lets nothing else run."""

import base64
import hashlib
import re
from pathlib import Path

from keepmap.drawing.page import source
from keepmap.drawing.page.source import MOST_BYTES, filled, joined_script, joined_style

HOME = Path(source.__file__).parent
FILES = [path for path in HOME.rglob("*") if path.suffix in (".html", ".css", ".js")]


def test_the_sources_are_small_and_each_file_is_one_idea():
    assert len(FILES) > 10
    assert sum(path.stat().st_size for path in FILES) < MOST_BYTES
    assert {path.name: lines for path in FILES if (lines := path.read_text().count("\n")) > 400} == {}


def test_every_view_is_one_file_that_registers_itself():
    views = sorted((HOME / "views").glob("*.js"))
    assert [path.name for path in views if path.read_text().count("\nview(") != 1] == []
    assert joined_script().count('view("summary"') == 1


def test_only_its_own_script_and_style_are_allowed_and_no_network():
    page = filled({"title": "t", "document": "{}", "arrays": ""})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    for kind, text in (("script", joined_script()), ("style", joined_style())):
        content = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.S)[-1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert content == text and f"{kind}-src 'sha256-{digest}'" in policy
    assert re.findall(r"\son\w+=|https?://(?!www\.w3\.org/)|\bfetch\(|XMLHttpRequest|innerHTML|eval\(", page) == []


def test_what_a_part_holds_is_not_filled_again():
    assert "<title>{{script}}</title>" in filled({"title": "{{script}}", "document": "{}", "arrays": ""})
