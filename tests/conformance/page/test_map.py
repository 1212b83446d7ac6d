"""The pictures of entries in the browser: pixels are the KeepMap's entries, and no lone token is lost from sight."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.write import page_of
from tests.conformance.page.conftest import N
from tests.drawing.page.pages import compared, keep_maps, lone_map

COLOURS = {"kept": (0, 114, 178), "evicted": (229, 229, 229), "unread": (255, 255, 255)}
PAIR = [(229, 229, 229), (0, 114, 178), (230, 159, 0), (16, 20, 24)]


def cells(page) -> tuple[np.ndarray, int]:
    """The picture without its axes as [height, width, 3], and how high a row is."""
    page.wait_for_function("document.querySelector('canvas').dataset.row")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    place, url = page.eval_on_selector("canvas", "canvas => [{...canvas.dataset}, canvas.toDataURL()]")
    left, top, width, row = (int(place[name]) for name in ("left", "top", "width", "row"))
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))
    return picture[top:, left : left + width], row


def shown(page, n: int) -> np.ndarray:
    """The colour in the middle of every entry, [rows, n, 3]: below the lines of zones and of the chosen cell."""
    picture, row = cells(page)
    width, rows = picture.shape[1], 6
    columns = [int((at + 0.5) * width / n) for at in range(n)]
    return np.stack([picture[at * row + row // 2, columns] for at in range(rows)])


@pytest.mark.parametrize("method", ["h2o", "kvzap", "streaming_llm"])
def test_pixels_are_the_keep_map_at_any_step(opened, method):
    keep_map = keep_maps(N)[method]
    lines = {4, N - 16}
    for step in (N - 1, 150):
        page = opened(f"view=map&method={method}&step={step}&token=299&row=5")
        kept = keep_map.kept(step).reshape(6, N).numpy()
        expected = np.where(kept[..., None], COLOURS["kept"], COLOURS["evicted"])
        expected[:, step + 1 :] = COLOURS["unread"]
        plain = [at for at in range(N - 4) if min(abs(at - line) for line in (*lines, step - 15)) > 1]
        assert (shown(page, N)[:, plain] == expected[:, plain]).all()
        page.close()


def test_a_lone_kept_token_is_seen_at_131072_positions(opened, tmp_path):
    n, places = 131_072, [(0, 1, 77_777), (0, 0, 0), (0, 0, 131_071)]
    run = ReportedRun(value=compared({"h2o": lone_map(n, places)}))
    path = tmp_path / "long.html"
    path.write_text(page_of([run]), encoding="utf-8")
    page = opened("view=map&token=1000", path)
    picture, row = cells(page)
    seen = (picture == COLOURS["kept"]).all(axis=2)
    for _, head, position in places:
        column = position * picture.shape[1] // n
        assert (
            seen[head * row : (head + 1) * row, column - 1 : column + 2].any()
            or seen[head * row : (head + 1) * row, column].any()
        )
    assert seen.any(axis=0).sum() <= 4
    page.focus("canvas")
    for _ in range(14):
        page.keyboard.press("+")
    assert "from=" in page.url
    page.keyboard.press("0")
    assert "from=" not in page.url


def test_keys_move_the_cell_the_range_and_the_step(opened):
    page = opened("view=map&method=h2o&token=100&row=2&from=90&to=130")
    page.focus("canvas")
    for key, part in (("ArrowRight", "token=101"), ("ArrowDown", "row=3"), ("End", "token=299"), ("[", "step=298")):
        page.keyboard.press(key)
        assert part in page.url
    assert "layer 1, KV head 0, position 299" in page.inner_text(".readout") and "from=" in page.url
    assert "after query 298 of 299" in page.inner_text(".slider output")
    page.evaluate(
        "() => { const slider = document.querySelector('input[type=range]'); slider.value = 120;"
        " slider.dispatchEvent(new Event('input')); }"
    )
    held = int(keep_maps(N)["h2o"].kept(120).sum())
    assert f"{held:,}" in page.inner_text(".facts")
    page.click("summary")
    page.wait_for_selector("details tbody tr")
    table = page.eval_on_selector_all("details tbody tr", "rows => rows.map(row => +row.children[2].textContent)")
    assert table == keep_maps(N)["h2o"].kept(120).sum(2).flatten().tolist()
    with page.expect_download() as download:
        page.click('button:has-text("Save as PNG")')
    content = Path(download.value.path()).read_bytes()
    assert content.startswith(b"\x89PNG")
    # Above the picture there is room for what it shows, and for its signs.
    assert int.from_bytes(content[20:24], "big") > page.locator("section canvas").bounding_box()["height"] + 60


def test_two_methods_are_four_colours_and_an_overlap_beside_that_of_chance(opened):
    maps = keep_maps(N)
    page = opened("view=pair&a=kvzap&b=h2o&token=299&row=5")
    a, b = (maps[key].kept().reshape(6, N).numpy() for key in ("kvzap", "h2o"))
    expected = np.array(PAIR)[a + 2 * b]
    plain = [at for at in range(N - 4) if min(abs(at - 4), abs(at - N + 16)) > 1]
    assert (shown(page, N)[:, plain] == expected[:, plain]).all()
    facts = page.inner_text(".facts")
    for value in (
        maps["kvzap"].overlap(maps["h2o"], compressible=True),
        maps["kvzap"].chance_overlap(maps["h2o"], compressible=True),
    ):
        assert f"{100 * value:.1f} %" in facts
    counts = np.bincount(
        sum(keep_map.kept().numpy().astype(int) for keep_map in maps.values()).reshape(-1), minlength=4
    )
    table = page.eval_on_selector_all(
        "section.pair > div:last-child tbody tr", "rows => rows.map(row => row.children[1].textContent)"
    )
    assert [int(text.replace(",", "")) for text in table] == counts.tolist()
