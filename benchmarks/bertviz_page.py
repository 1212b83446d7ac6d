"""BertViz's page of attention beside ours: its bytes, and whether it draws without a network.

    PYTHON_WITH_BERTVIZ benchmarks/bertviz_page.py TOKENS OUT.html     # writes its model view, of random attention

BertViz is not installed with keepmap: `pip install bertviz` into an environment of its own, and name its Python to
`bench_page.py --bertviz-python`.
"""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Request

__all__ = ["bertviz_lines"]

LAYERS, HEADS = 30, 9
SIZES = (64, 128, 256)
PATIENCE = 120_000
"""Milliseconds for its first drawn line."""


def bertviz_lines(browser: "Browser", python: str, folder: Path) -> list[str]:
    """A sentence for each size: the file's bytes, and when its first line of attention is drawn, if ever."""
    lines = ["", "BertViz 1.4.1, model view of 30 layers x 9 heads (it shows attention; it knows no cache):", ""]
    for n in SIZES:
        path = folder / f"bertviz{n}.html"
        start = time.perf_counter()
        subprocess.run([python, __file__, str(n), str(path)], check=True, capture_output=True)
        written, size = time.perf_counter() - start, path.stat().st_size / 1e6
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        urls = list[str]()
        page.on("request", partial(_noted, urls))
        start = time.perf_counter()
        page.goto(path.as_uri(), timeout=PATIENCE)
        loaded = 1000 * (time.perf_counter() - start)
        page.wait_for_timeout(3000)
        drawn = page.locator("svg line").count()
        asks = ", ".join(sorted({url.split("/")[2] for url in urls} - {""})) or "no host"
        shows = f"{drawn:,} lines of attention are drawn" if drawn else "nothing is drawn without them"
        times = f"{size:.1f} MB written in {written:.0f} s, loaded in {loaded:.0f} ms"
        lines.append(f"- {n} tokens: {times}; it asks {asks}, and {shows}.")
        page.close()
    return lines


def _noted(urls: list[str], request: "Request") -> None:
    urls.append(request.url)


def _write(n: int, path: Path) -> None:
    """The model view of n tokens."""
    import torch
    from bertviz import model_view  # type: ignore[import-not-found]

    mask = torch.ones(n, n).tril()
    attention = [(torch.rand(1, HEADS, n, n) * mask).softmax(-1) for _ in range(LAYERS)]
    view = model_view(attention, [f"w{token}" for token in range(n)], html_action="return")
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{view.data}", encoding="utf-8")


if __name__ == "__main__":
    _write(int(sys.argv[1]), Path(sys.argv[2]))
