"""The figure of cost against memory: the data that is drawn, what can be seen of it, and what cannot stand in it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

import keepmap
from keepmap.drawing import cost_by_footprint, save_figure
from keepmap.errors import InputError
from keepmap.kv.comparison.results import Comparison

FACTS = {"river": 17, "stone": 4, "lake": 99, "road": 5}
TEXTS = [f"The code of {name} is {code}. It is {name} that we mean. " * 6 for name, code in FACTS.items()]
DENSITIES = (0.8, 0.2, 0.5)


@cache
def comparison(density: float = 0.2) -> Comparison:
    return keepmap.compare("tiny", TEXTS, "random h2o", density=density, window=16)


@pytest.fixture(scope="module")
def sweep() -> list[Comparison]:
    return [comparison(density) for density in DENSITIES]


def drawn(ax: Axes) -> dict[str, ErrorbarContainer]:
    return {str(bars.get_label()): bars for bars in ax.containers if isinstance(bars, ErrorbarContainer)}


def test_points_and_intervals_are_the_rows_from_the_smallest_footprint_on(sweep: list[Comparison]) -> None:
    (ax,) = cost_by_footprint(sweep)
    picture = drawn(ax)
    assert set(picture) == {"Random", "H2O"}
    for name, (line, _, (bars,)) in picture.items():
        rows = [row for comparison in sweep for row in comparison.methods if row.method == name]
        rows.sort(key=lambda row: row.footprint)
        assert [row.density for row in rows] == sorted(DENSITIES)
        np.testing.assert_allclose(line.get_xdata(orig=False), [100 * row.footprint for row in rows])
        np.testing.assert_allclose(line.get_ydata(orig=False), [row.nll_delta for row in rows])
        ends = [(row.nll_delta_low, row.nll_delta_high) for row in rows]
        np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], ends)


def test_axes_have_units_and_the_title_has_the_models_label(sweep: list[Comparison]) -> None:
    named = [replace(each, configuration={**each.configuration, "model_name": "/home/me/mine"}) for each in sweep]
    (ax,) = cost_by_footprint(named)
    texts = [text.get_text() for text in ax.texts]
    assert ax.get_title("left") == "What evicting costs · mine"
    assert any("4 texts, " in text and "predicted tokens" in text for text in texts)
    assert any("95 % interval over texts (n=4)" in text for text in texts)
    assert ax.get_xlabel() == "cache entries held on average (% of the full cache)"
    assert ax.get_ylabel() == "ΔNLL (nats per token)"
    assert len(ax.get_xticks()) >= 2 and len(ax.get_yticks()) >= 2


def test_one_density_has_ticks_on_both_sides_of_what_is_held() -> None:
    (ax,) = cost_by_footprint(comparison(0.2))
    (left, right), held = ax.get_xlim(), 100 * comparison(0.2).methods[0].footprint
    ticks = [tick for tick in ax.get_xticks() if left <= tick <= right]
    assert min(ticks) < held < max(ticks) and len(ticks) >= 2


def test_methods_that_hold_the_same_stand_side_by_side(sweep: list[Comparison]) -> None:
    (ax,) = cost_by_footprint(sweep)
    places = [line.get_transform().transform(line.get_xydata())[:, 0] for line, _, _ in drawn(ax).values()]
    apart = np.abs(places[0] - places[1]) * 72 / ax.figure.dpi
    assert ((apart > 2) & (apart < 5)).all()


def test_every_point_and_interval_is_inside_the_axes(sweep: list[Comparison]) -> None:
    (ax,) = cost_by_footprint(sweep)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for line, _, (bars,) in drawn(ax).values():
        assert all(left < x < right for x in line.get_xdata(orig=False))
        assert all(bottom < y < top for segment in bars.get_segments() for y in segment[:, 1])


def test_methods_differ_without_colour(sweep: list[Comparison]) -> None:
    (ax,) = cost_by_footprint(keepmap.compare("tiny", TEXTS[:1], "all", density=0.2, window=16))
    lines = [container[0] for container in drawn(ax).values()]
    assert len({line.get_marker() for line in lines}) == len(lines) == len(keepmap.methods()) - 3
    assert "Random(threshold=1.0)" not in drawn(ax), "it is StreamingLLM"


def test_few_texts_have_no_interval_and_none_is_spoken_of() -> None:
    (ax,) = cost_by_footprint(keepmap.compare("tiny", TEXTS[:1], "random", density=0.2, window=16))
    ((_, _, (bars,)),) = drawn(ax).values()
    assert all(np.ptp(segment[:, 1]) == 0 for segment in bars.get_segments())
    assert not any("interval" in text.get_text() for text in ax.texts)


def test_what_is_not_alike_is_refused(sweep: list[Comparison]) -> None:
    other = keepmap.compare("tiny", TEXTS[:3], "random", density=0.2, window=16)
    model = replace(sweep[1], configuration={**sweep[1].configuration, "model_name": "another"})
    bare = keepmap.compare("tiny", TEXTS[:1], "baseline", window=16)
    for comparisons, message in (
        ([sweep[0], other], "one model and the same texts, got the number of samples 3 and 4"),
        ([sweep[0], model], "one model and the same texts, got the model another and tiny"),
        ([], "expected `comparisons` to be a Comparison or several, got none"),
        (bare, "expected `comparisons` to have methods, got the baselines alone"),
    ):
        with pytest.raises(InputError, match=message):
            cost_by_footprint(comparisons)


def test_into_the_users_axes_and_the_same_bytes(sweep: list[Comparison], tmp_path: Path) -> None:
    ax = Figure().subplots()
    assert cost_by_footprint(sweep, ax=ax, title="Mine", legend=False, caption="by hand") == (ax,)
    assert (ax.get_title("left"), [text.get_text() for text in ax.texts]) == ("Mine", ["by hand"])
    assert ax.get_legend() is None
    results = [
        [path.read_bytes() for path in save_figure(cost_by_footprint(sweep), tmp_path / name, "cost", "png,svg,pdf")]
        for name in ("a", "b")
    ]
    assert results[0] == results[1]
