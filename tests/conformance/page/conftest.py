"""A browser for all tests of the page, and pages that are open in it: what they ask for and complain of is recorded."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.spans import Span
from keepmap.drawing.page.write import page_of
from tests.drawing.page.pages import compared, keep_maps, words

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY = "main section:not([aria-busy])"
N = 300

Opened = Callable[..., Page]


def runs(path: str) -> bool:
    """Whether a program says its version: where a distribution has a package that is none, it does not."""
    return subprocess.run([path, "--version", "--no-sandbox"], capture_output=True, check=False).returncode == 0


def restored(page: Page, place: str, words: str) -> None:
    """Go to another hash of the same page, as a link does, until this has been read out."""
    page.evaluate("place => { document.getElementById('live').textContent = ''; location.hash = place; }", place)
    page.wait_for_function("words => document.getElementById('live').textContent.includes(words)", arg=words)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the one that CHROMIUM names, the system's, or playwright's own."""
    path = next((name for name in (os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)) if name and runs(name)), None)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments, timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of three methods, on a text of 300 tokens with two spans."""
    runs = [
        ReportedRun(
            value=compared(keep_maps(N), words(N), label), name=name, folder=name, command=("keepmap", "compare")
        )
        for label, name in (("", "first"), ("Other ", "second"))
    ]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_of(runs, spans=[Span("question", 40, 52), Span("answer", 200, 203)]), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Opened]:
    """Opens a page at a hash; at the end nothing but the file was asked for, and nothing was complained of."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, accept_downloads=True, reduced_motion="reduce"
    )
    context.set_offline(True)
    context.set_default_timeout(60_000)
    faults: list[str] = []

    def open_page(place: str = "", path: Path = report, **viewport: int) -> Page:
        page = context.new_page()
        if viewport:
            page.set_viewport_size({"width": 1280, "height": 900} | viewport)
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "blob:")) or faults.append(request.url))
        page.goto(f"{path.as_uri()}#{place}")
        page.wait_for_selector(READY)
        return page

    yield open_page
    context.close()
    assert faults == []
