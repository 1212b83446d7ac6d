"""The page as a file: the same bytes, hostile texts as data, nothing of the reader's deleted."""

import base64
import json
import re
import zlib

import pytest

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.write import page_of, write_report
from keepmap.errors import InputError, OutputError
from tests.drawing.page.pages import HOSTILE, compared, keep_maps, lone_map


def document(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.S)[1])


def texts(page: str) -> str:
    """The text of the first run's tokens, as the page has it."""
    name = document(page)["runs"][0]["text"]["letters"]
    packed = re.search(rf'id="{name}">([^<]*)<', page)[1]
    return zlib.decompress(base64.b64decode(packed), -15).decode()


@pytest.fixture(scope="module")
def runs():
    maps = {"h2o": lone_map(len(HOSTILE), [(0, 0, 3)])}
    return [ReportedRun(value=compared(maps, HOSTILE, "</script><b>"), name="</title>\u202e", folder="x")]


def test_hostile_names_and_tokens_stand_in_it_as_data(runs):
    page = page_of(runs)
    assert page.count("</script>") == 2 + page.count('<script type="application/octet-stream"') and "<b>" not in page
    assert "<title>keepmap: &lt;/title&gt;\\u202e</title>" in page
    assert document(page)["runs"][0]["rows"][2]["method"] == "</script><b>H2O"
    assert texts(page) == "".join(HOSTILE).replace("\ud800", "\ufffd")


def test_redacted_text_is_nowhere_in_it(runs):
    page = page_of(runs, redact_text=True)
    assert "The text is not in this file" in page and "is in this file. --redact_text" not in page
    assert set(re.findall("⟨(.*?)⟩", texts(page))) >= {"word", "number"} or "⟨" in texts(page)
    assert "xxxx" not in texts(page) and "🙂" not in texts(page) and len(texts(page)) < 300


def test_the_same_values_give_the_same_bytes_and_a_report_is_written_over(runs, tmp_path):
    path = write_report(runs, tmp_path / "new" / "report.html")
    before = path.read_bytes()
    assert write_report(runs, path).read_bytes() == before


def test_what_is_no_report_is_not_written_over_without_a_word(runs, tmp_path):
    path = tmp_path / "mine.html"
    path.write_text("<!DOCTYPE html> mine")
    with pytest.raises(OutputError, match="is there and is not a report of keepmap's"):
        write_report(runs, path)
    assert path.read_text() == "<!DOCTYPE html> mine"
    write_report(runs, path, overwrite=True)
    assert document(path.read_text())["format"] == "keepmap-page/1"


def test_what_is_left_out_is_said_on_the_page():
    page = page_of([ReportedRun(value=compared(keep_maps(300)))], largest=3000)
    assert document(page)["notes"][0] == "To keep this file small, scores are left out."


def test_no_run_is_no_page():
    with pytest.raises(InputError, match="expected `runs` to be one or more, got none"):
        page_of([])
