"""The figure of a cache's bytes: the lines are the reports, and one of nothing is refused."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from keepmap.drawing import cache_bytes, save_figure
from keepmap.errors import InputError
from keepmap.kv.cache.report import CacheReport, Moment

MIB = 2**20


def report(tokens: int = 700, share: float = 0.25) -> CacheReport:
    seen = [512, *range(600, tokens + 1, 50)]
    moments = tuple(Moment(n, round(n * share * MIB), n * MIB) for n in seen)
    return CacheReport(moments=moments, peak_nbytes=400 * MIB, n_protected=20)


def lines_of(ax) -> dict[str, tuple[list[float], list[float]]]:
    return {str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}


def test_the_lines_are_the_bytes_after_each_pass() -> None:
    (ax,) = cache_bytes({"mine": report(), "longer": report(800, 0.5)})
    lines = lines_of(ax)
    assert lines["mine"][0] == [0, 512, 600, 650, 700]
    np.testing.assert_allclose(lines["mine"][1], [0, 128, 150, 162.5, 175])
    assert lines["the full cache"] == ([0, 512, 600, 650, 700, 750, 800], [0, 512, 600, 650, 700, 750, 800])
    assert ax.get_ylabel() == "keys, values and bookkeeping (MiB)" and ax.get_xlim() == (0, 800)
    peaks = [line for line in ax.lines if line.get_marker() == "<"]
    assert [list(line.get_ydata()) for line in peaks] == [[400], [400]] and ax.get_ylim()[1] > 800
    assert [line.get_color() for line in peaks] == [ax.lines[1].get_color(), ax.lines[3].get_color()]


def test_one_report_says_its_bytes_and_what_has_a_report_is_named_by_its_label() -> None:
    (ax,) = cache_bytes(SimpleNamespace(cache=report(), label="H2O, density 0.2"))
    words = "\n".join(text.get_text() for text in ax.texts)
    assert "700 tokens" in words and "175 MiB at the end" in words and "400 MiB at the peak" in words
    assert "700 MiB without eviction" in words and "H2O, density 0.2" in lines_of(ax)
    (ax,) = cache_bytes(SimpleNamespace(report=lambda: report()))
    assert "evicting" in lines_of(ax)


@pytest.mark.parametrize(("nbytes", "unit"), [(700, "bytes"), (1023 * 1000, "KiB"), (2**62, "TiB")])
def test_the_unit_fits_the_largest_number(nbytes: int, unit: str) -> None:
    (ax,) = cache_bytes(CacheReport(moments=(Moment(9, 3, nbytes),), peak_nbytes=3))
    assert ax.get_ylabel().endswith(f"({unit})")


def test_nothing_to_draw_is_one_line() -> None:
    new = CacheReport(moments=(), peak_nbytes=0)
    for wrong, message in (
        ({}, "expected `reports` to be a CacheReport or several by their labels, got none"),
        (new, "expected `reports` to be of caches that have seen tokens, got one of a new cache"),
        ({"a": 3}, "expected `reports` to be a CacheReport or what has one, or several by their labels, got int"),
    ):
        with pytest.raises(InputError, match=message):
            cache_bytes(wrong)


def test_into_the_users_axes_and_the_same_bytes(tmp_path: Path) -> None:
    ax = Figure().subplots()
    assert cache_bytes(report(), ax=ax, title="Mine", legend=False, caption="by hand") == (ax,)
    assert (ax.get_title("left"), [text.get_text() for text in ax.texts]) == ("Mine", ["by hand"])
    results = [
        [path.read_bytes() for path in save_figure(cache_bytes(report()), tmp_path / name, "bytes", "png,svg,pdf")]
        for name in ("a", "b")
    ]
    assert results[0] == results[1]
