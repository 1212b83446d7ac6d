"""The pictures of the page's views, at 1,280 pixels, light and dark: of each view the first run that has it.

python docs/screenshots.py REPORT.html [REPORT.html ...] [--folder docs/images]

It needs Chromium, which CHROMIUM names or the system has; `make test` says how.
"""

import argparse
import io
import os
import shutil
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"
WIDTH, HIGHEST = 1280, 1600
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PLACES = {"text": "&token=150", "attention": "&layer=4&head=2&by=H2O"}
"""What is looked at in a view, where its beginning shows little."""


def views(page: Page) -> list[tuple[str, str]]:
    """The name of each view of the run that is shown, and where it is; an agent's with its kind."""
    tabs = page.eval_on_selector_all('[role="tab"]', "all => all.map(tab => tab.id.slice(4))")
    run = page.evaluate("Number(new URLSearchParams(location.hash.slice(1)).get('run') || 0)")
    kind = page.evaluate("run => JSON.parse(document.getElementById('document').textContent).runs[run].kind", run)
    return [
        (f"agent_{kind}" if name == "agent" else name, f"view={name}&run={run}{PLACES.get(name, '')}") for name in tabs
    ]


def pictures(browser: Browser, report: Path, folder: Path, done: set[str]) -> None:
    """Save every view of a report whose name is not done yet."""
    for scheme in SCHEMES:
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        page.goto(report.resolve().as_uri())
        runs = page.evaluate("JSON.parse(document.getElementById('document').textContent).runs.length")
        for run in range(runs):
            page.evaluate("run => { location.hash = `view=summary&run=${run}`; }", run)
            page.wait_for_selector("section.summary:not([aria-busy])")
            for name, place in views(page):
                path = folder / f"page_{name}_{scheme}.png"
                if path.name in done:
                    continue
                page.evaluate("place => { location.hash = place; }", place)
                page.wait_for_selector(f"section.{name.split('_')[0]}:not([aria-busy])")
                page.wait_for_timeout(300)  # of animation frames
                path.write_bytes(_small(page.screenshot(full_page=True)))
                done.add(path.name)
                print(path)
        page.close()


def _small(content: bytes) -> bytes:
    """The picture down to a height that a reader sees."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    out = io.BytesIO()
    picture.crop((0, 0, picture.width, min(picture.height, HIGHEST))).save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.html")
    parser.add_argument("--folder", type=Path, default=IMAGES)
    given = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    done: set[str] = set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for report in given.reports:
            pictures(browser, report, given.folder, done)
        browser.close()


if __name__ == "__main__":
    main()
