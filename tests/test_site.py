"""The site of docs/: built without a warning, every link leads somewhere, and nothing is asked of the network."""

import doctest
import importlib
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import keepmap
from tests.forked import python

ROOT = Path(__file__).resolve().parent.parent
MOST_COLUMNS = 8


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = python(
        *("-m", "mkdocs", "build", "--strict", "--config-file", str(ROOT / "mkdocs.yml")),  # quiet, it counts nothing
        *("--site-dir", str(folder)),
        cwd=ROOT,
        NO_MKDOCS_2_WARNING="1",
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of docs/site, found as mkdocs finds them."""
    names = ("examples", "hooks", "reference")
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


class Requests(HTMLParser):
    """What a browser fetches when it opens a page, and the widest row of its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.columns, self.widest = 0, 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """What html.parser calls."""
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "link") and values.get("rel") not in ("canonical", "next"):
            self.addresses += [address for name in ("src", "href") if (address := values.get(name))]
        if tag == "tr":
            self.columns = 0
        elif tag in ("td", "th"):
            self.columns += 1
            self.widest = max(self.widest, self.columns)


def test_a_page_asks_the_network_for_nothing_and_its_tables_have_eight_columns_at_most(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 60
    for path in pages:
        page = Requests(path.read_text(encoding="utf-8"))
        assert [address for address in page.addresses if "//" in address] == [], path
        assert page.widest <= MOST_COLUMNS, path.relative_to(site)


def test_every_public_name_has_its_place_in_the_reference(site: Path) -> None:
    html = "".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    places = set(re.findall(r'<h2 id="([\w.]+)"', html))
    names = {f"keepmap.{name}" for name in keepmap.__all__ if name not in ("draw", "__version__")}
    assert names - places == set()
    figures = {place.rsplit(".", 1)[1] for place in places if place.startswith("keepmap.drawing.")}
    assert set(dir(keepmap.draw)) - figures == set()
    assert "<blockquote" not in html and html.count('<span class="gp">') > 200, "an example is shown as text"


def test_generated_pages_are_called_by_their_titles(site: Path) -> None:
    html = (site / "methods" / "h2o.html").read_text(encoding="utf-8")
    titles = {" ".join(title.split()) for title in re.findall(r'class="md-ellipsis">(.*?)</span>', html, re.S)}
    assert {"H2O", "KVzap(no_sink)", "ExpectedAttention"} <= titles and "<title>H2O - keepmap</title>" in html


def test_the_guides_stand_where_they_are_promised_and_on_the_site(site: Path) -> None:
    for name in ("COMPRESSION_GUIDE", "ATTENTION_VISUALIZATION_GUIDE", "VISUALIZATION_SUMMARY"):
        assert (ROOT / f"{name}.md").is_file() and (site / f"{name}.html").is_file()


def test_the_examples_of_the_sites_own_code_run(parts: dict[str, ModuleType]) -> None:
    for module in parts.values():
        results = doctest.testmod(module)
        assert results.attempted and not results.failed, module.__name__


def test_links_between_files_become_links_between_pages(parts: dict[str, ModuleType]) -> None:
    def linked(text: str, page: str) -> str:
        pages = {"study.md", "RESULTS.md", "images/study.png", "index.md", "methods/README.md", "methods/h2o.md"}
        return str(parts["hooks"].linked(text, page, pages.__contains__))

    assert linked("[x](../benchmarks/RESULTS.md#goals)", "study.md") == "[x](RESULTS.md#goals)"
    assert linked("![x](docs/images/study.png)", "COMPRESSION_GUIDE.md") == "![x](images/study.png)"
    assert linked("[x](../README.md)", "study.md") == "[x](index.md)"
    assert linked("[x](methods)", "study.md") == "[x](methods/README.md)"
    assert linked("[x](../study.md)", "methods/h2o.md") == "[x](../study.md)"
    assert linked("[x](study.ipynb)", "index.md") == "[x](study.md)"
    assert linked("[the licence](../LICENSE)", "study.md") == "the licence"
    for kept in (
        "[x](nowhere.md)",
        "[x](https://arxiv.org)",
        "[x](#goals)",
        "    [x](../README.md)",
        "```\n[x](../README.md)\n```",
    ):
        assert linked(kept, "study.md") == kept


def test_a_notebook_becomes_a_page_with_its_pictures(parts: dict[str, ModuleType]) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {
            "cell_type": "code",
            "source": ["draw()"],
            "outputs": [{"data": {"image/png": "iVBORw==", "text/plain": "x"}}],
        },
        {"cell_type": "code", "source": ["print(1)"], "outputs": [{"name": "stdout", "text": ["1\n"]}]},
    ]
    text, pictures = parts["hooks"].notebook_page({"cells": cells}, "look.ipynb")
    assert text.startswith("# Title\n\n[The notebook](look.ipynb)")
    assert "![What the cell above draws](look_0.png)" in text and text.endswith("```text\n1\n```")
    assert pictures == {"look_0.png": b"\x89PNG"}
