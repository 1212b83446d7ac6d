"""The HTML page in a browser at 30 layers x 3 KV heads x 10 methods: file, first paint, method switch, slider, memory.

    python benchmarks/bench_page.py [--sizes 1000 10000 100000] [--bertviz-python PATH] [--write]

The maps are made up, of two kinds. `scattered`: every method keeps a fifth of the entries, at random, and drops the
others at random queries, which packs worse than any real map. `streaming`: every method keeps the last positions of a
budget of its own, which packs so well that everything stays on the page. Chromium has no GPU; memory is that of its
largest process that shows pages, the most of after all switches and steps and after each view.
"""

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from playwright.sync_api import Browser, Page, sync_playwright

from bertviz_page import bertviz_lines
from keepmap.core.densities import KeptCounts
from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page import ReportedRun, write_report
from keepmap.kv.comparison import Comparison, MethodResult
from keepmap.kv.comparison.results import SampleResult
from keepmap.kv.token_costs import TokenCosts
from report import Goal, Report, write_part
from timing import machine

SIZES = (1_000, 10_000, 100_000)
LAYERS, HEADS, METHODS, DENSITY, SINK, WINDOW = 30, 3, 10, 0.2, 4, 128
FULL, BASELINE = "baseline_no_chunking", "baseline"
KEYS = tuple(f"method{number}" for number in range(METHODS))
VIEWS = ("summary", "text", "map", "pair", "kinds", "evidence", "tradeoff")
MEGABYTE = 1e6
LATENT = 5
"""Switches and steps that are measured; the first of each is left out, since code is compiled in it."""


def scattered(n: int, number: int) -> KeepMap:
    """A fifth of each head's entries is kept; each other one goes at some query after it left the window."""
    random = np.random.default_rng(number)
    held = random.random((LAYERS, HEADS, n)) < DENSITY
    first = np.minimum(np.arange(n) + WINDOW + 1, n)
    gone = first + (random.random(held.shape) ** 3 * (n - first)).astype(np.int64)
    return _map(n, held, gone, random.random(held.shape, dtype=np.float32))


def streaming(n: int, number: int) -> KeepMap:
    """The last positions are kept, more of them from method to method; all of a position goes at once."""
    kept = int(n * DENSITY * (1 + number / METHODS))
    held = np.broadcast_to(np.arange(n) >= n - kept, (LAYERS, HEADS, n)).copy()
    gone = np.broadcast_to(np.minimum(np.arange(n) + kept + 1, n), held.shape)
    return _map(n, held, gone, np.broadcast_to(np.arange(n, dtype=np.float32), held.shape).copy())


def _map(n: int, held: np.ndarray, gone: np.ndarray, scores: np.ndarray) -> KeepMap:
    """Entries that are held at the end, and the query from which each other one is not seen."""
    position = np.arange(n)
    held |= (position < SINK) | (position >= n - WINDOW)
    return KeepMap(
        torch.from_numpy(np.where(held, n, gone)),
        torch.from_numpy(scores),
        held=torch.from_numpy(held),
        n_sink=SINK,
        window=WINDOW,
    )


class Maps(Mapping[str, KeepMap]):
    """A map for each method, made when it is looked at."""

    def __init__(self, n: int, kind: Callable[[int, int], KeepMap]) -> None:
        self._n, self._kind = n, kind

    def __getitem__(self, key: str) -> KeepMap:
        return self._kind(self._n, KEYS.index(key))

    def __iter__(self) -> Iterator[str]:
        return iter(KEYS)

    def __len__(self) -> int:
        return METHODS


def comparison(n: int, kind: Callable[[int, int], KeepMap]) -> Comparison:
    """A comparison of made-up methods on one text of n tokens."""
    words = tuple(f" w{token % 977}" if token % 5 else "." if token % 40 else "\n" for token in range(n))
    nll = np.random.default_rng(0).random(n - 1, dtype=np.float32)
    keys = (FULL, BASELINE, *KEYS)
    rows = [_row(key, number, n) for number, key in enumerate(keys)]
    counts = KeptCounts(n, n, n, n)
    samples = tuple(
        SampleResult(
            method=key,
            sample=0,
            line=1,
            n_tokens=n,
            n_predicted=n - 1,
            nll=2.0 * n,
            kl=0.0,
            n_agreed=1,
            entries=counts,
            tokens=counts,
            footprint=1.0,
        )
        for key in keys
    )
    return Comparison(
        configuration={"model_name": "made up", "seed": 0, "chunk_size": 1},
        baseline_no_chunking=rows[0],
        baseline=rows[1],
        methods=tuple(rows[2:]),
        samples=samples,
        complete=True,
        validated=None,
        keep_maps=Maps(n, kind),
        token_costs={key: TokenCosts(nll, nll, words if key == FULL else ()) for key in keys},
    )


def _row(key: str, number: int, n: int) -> MethodResult:
    """The line of a method in the table."""
    return MethodResult(
        method=key,
        method_key=key,
        perplexity=8.0,
        avg_nll=2.0,
        nll_delta=0.01 * number,
        nll_delta_pct=1.0,
        nll_delta_low=None,
        nll_delta_high=None,
        n_samples=1,
        total_tokens=n - 1,
        ppl_delta=0.1,
        ppl_delta_pct=1.0,
        density_overall=DENSITY,
        density_compressible=DENSITY,
        token_density_overall=DENSITY,
        token_density_compressible=DENSITY,
        footprint=0.3,
        kl=0.01 * number,
        top1_agreement=0.9,
        threshold=None,
        density=DENSITY,
        n_sink=SINK,
        window=WINDOW,
    )


def opened(browser: Browser, path: Path, place: str) -> tuple[Page, float, float]:
    """The page; milliseconds until something is painted, and until its view is there."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(300_000)
    start = time.perf_counter()
    page.goto(f"{path.as_uri()}#{place}")
    # Not wait_for_selector: what that returns holds the view in memory after the reader has left it.
    page.locator("main > section:not([aria-busy])").wait_for()
    ready = 1000 * (time.perf_counter() - start)
    # The view may be there before the frame that shows it.
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return page, float(paint), ready


CHANGED = """async ([what, value]) => {
  const node = document.querySelector(what), seen = () => document.querySelector('canvas').getAttribute('aria-label');
  const before = seen(), start = performance.now();
  node.value = value;
  node.dispatchEvent(new Event(node.type === 'range' ? 'input' : 'change'));
  while (seen() === before) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""
"""Milliseconds from a choice to the frame after the picture has changed."""


def resident(page: Page) -> float:
    """Bytes of the process that shows the page, the largest of the browser's."""
    browser = page.context.browser
    assert browser is not None
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    status = [Path(f"/proc/{each['id']}/status") for each in processes if each["type"] == "renderer"]
    lines = [line for path in status if path.is_file() for line in path.read_text(encoding="utf-8").splitlines()]
    return max(1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@dataclass(frozen=True)
class Figures:
    """What was measured of one page: megabytes of the file and of memory, milliseconds of the rest; no steps: None."""

    size: float
    paint: float
    ready: float
    switch: float
    step: float | None
    memory: float
    views: float
    notes: str


def measured(browser: Browser, n: int, kind: Callable[[int, int], KeepMap], folder: Path) -> Figures:
    """The page of a text of n tokens."""
    path = write_report([ReportedRun(value=comparison(n, kind))], folder / f"{kind.__name__}{n}.html")
    page, paint, ready = opened(browser, path, "view=summary")
    left_out = [text for text in page.locator("#notes p").all_inner_texts() if text.startswith("To keep")]
    page.close()
    page, _, _ = opened(browser, path, "view=map&method=method0")
    switches = [page.evaluate(CHANGED, ["main .controls select", key]) for key in KEYS[1 : 2 + LATENT]]
    steps = []
    if page.locator("input[type=range]").is_enabled():
        places = [n * tenth // 10 for tenth in range(2, 3 + LATENT)]
        steps = [page.evaluate(CHANGED, ["input[type=range]", str(place)]) for place in places]
    views, memory = [], [resident(page)]
    for view in VIEWS:
        if not page.locator(f"#tab-{view}").count():  # there is no evidence without times
            continue
        start = time.perf_counter()
        page.evaluate("view => { location.hash = `view=${view}`; }", view)
        page.locator(f"section.{view}:not([aria-busy])").wait_for()
        views.append(1000 * (time.perf_counter() - start))
        memory.append(resident(page))
    page.close()
    return Figures(
        size=path.stat().st_size / MEGABYTE,
        paint=paint,
        ready=ready,
        switch=max(switches[1:]),
        step=statistics.median(steps[1:]) if steps else None,
        memory=max(memory) / MEGABYTE,
        views=max(views),
        notes=left_out[0] if left_out else "",
    )


def _cells(n: int, kind: str, figures: Figures) -> list[str]:
    step = "left out" if figures.step is None else f"{figures.step:.0f} ms"
    return [
        f"{n:,} {kind}",
        f"{figures.size:.1f} MB",
        f"{figures.paint:.0f} ms",
        f"{figures.ready:.0f} ms",
        f"{figures.switch:.0f} ms",
        step,
        f"{figures.views:.0f} ms",
        f"{figures.memory:.0f} MB",
    ]


def main() -> None:
    """Measure, print, and with --write put it into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the figures into benchmarks/RESULTS.md")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="tokens of the texts")
    parser.add_argument("--bertviz-python", help="an interpreter that has bertviz, whose page is measured beside ours")
    given = parser.parse_args()
    report = Report(f"The HTML page: {LAYERS} layers x {HEADS} KV heads x {METHODS} methods")
    report.say(*machine())
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        report.say(f"Chromium {browser.version}, 1280 x 900 pixels, no GPU")
        lines, all_figures = [], []
        for n in given.sizes:
            for kind in (scattered, streaming):
                figures = measured(browser, n, kind, Path(folder))
                lines.append(_cells(n, kind.__name__, figures))
                all_figures.append(figures)
                print(*lines[-1], figures.notes, sep="; ", flush=True)
        head = ["tokens", "file", "first paint", "summary", "method switch", "slider step", "slowest view", "memory"]
        report.table("A page in the browser: a switch is the slowest of five, a step the median of five", head, lines)
        cut = [f"{cells[0]}: {each.notes}" for cells, each in zip(lines, all_figures, strict=True) if each.notes]
        report.say("", *[f"- {words}" for words in cut], "")
        if given.bertviz_python:
            report.say(*bertviz_lines(browser, given.bertviz_python, Path(folder)))
        browser.close()
    steps = [each.step for each in all_figures if each.step is not None]
    report.goals(
        [
            Goal("file, at most", max(each.size for each in all_figures), " MB", "<=", 15),
            Goal("first paint, at most", max(each.paint for each in all_figures), " ms", "<=", 1000),
            Goal("method switch, at most", max(each.switch for each in all_figures), " ms", "<=", 300),
            Goal("slider step, at most", max(steps), " ms", "<=", 100),
            Goal("memory, at most", max(each.memory for each in all_figures), " MB", "<=", 600),
        ]
    )
    if given.write:
        extra = ["--bertviz-python", "PATH"] if given.bertviz_python else []
        write_part(report, "bench_page.py", [*extra, "--write"])


if __name__ == "__main__":
    main()
