"""The four histograms, read back from what was drawn."""

import hashlib
import math

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from keepmap.core.intervals import mean_interval
from keepmap.drawing import attention_summary, save_figure
from keepmap.drawing.attention_summary import STATISTICS, THRESHOLD
from keepmap.errors import InputError
from tests.drawing.profiles import profile_of, words_of

TITLES = (
    "Mean context attention",
    "Attention concentration (std dev)",
    "Attention entropy (uniformity)",
    "Recent/Distant ratio",
)


def samples(n: int) -> list[dict[str, float]]:
    return [profile_of(seed, n=40 + seed).guide_statistics(1) for seed in range(n)]


def thresholds(ax: Axes) -> list[float]:
    return [line.get_xdata()[0] for line in ax.get_lines() if line.get_color() == THRESHOLD]


def dots(ax: Axes) -> list[float]:
    return [x for line in ax.get_lines() if line.get_marker() == "o" for x in line.get_xdata()]


def ticks(ax: Axes) -> list[float]:
    """Those below a histogram, which are drawn before the interval."""
    return [
        segment[0][0]
        for artist in ax.collections[:1]
        if isinstance(artist, LineCollection)
        for segment in artist.get_segments()
    ]


def test_every_sample_is_counted_once() -> None:
    statistics = samples(12)
    axes = attention_summary(statistics)
    assert len(axes) == 4
    for ax, statistic, title in zip(axes, STATISTICS, TITLES, strict=True):
        values = np.array([sample[statistic.key] for sample in statistics])
        assert sum(bar.get_height() for bar in ax.patches) == 12
        counts = [bar.get_height() for bar in ax.patches]
        edges = [*(bar.get_x() for bar in ax.patches), ax.patches[-1].get_x() + ax.patches[-1].get_width()]
        np.testing.assert_array_equal(
            counts, np.histogram(values, np.linspace(values.min(), values.max(), len(edges)))[0]
        )
        np.testing.assert_allclose(edges[0], values.min())
        np.testing.assert_allclose(ticks(ax), values)
        low, high = mean_interval(values)
        assert low is not None and high is not None
        text = f"{title}\nn = 12 · mean {values.mean():.3g} [{low:.3g}, {high:.3g}]"
        assert text in words_of(ax)
        assert ax.get_ylabel() == "samples"
    assert [thresholds(ax) for ax in axes] == [[], [], [1.5, 2.0], [1.2, 2.0]]
    assert [ax.get_xlabel() for ax in axes] == [
        *["attention weight"] * 2,
        "nats: below 1.5 focused, above 2.0 uniform",
        "ratio: below 1.2 spread, above 2.0 recency",
    ]
    for ax in axes:
        left, right = ax.get_xlim()
        assert all(left < x < right for x in [*thresholds(ax), *ticks(ax)])


def test_one_sample_has_no_interval() -> None:
    axes = attention_summary(samples(1))
    for ax in axes:
        assert len(dots(ax)) == 1 and not ax.patches
        assert "n = 1" in words_of(ax) and "[" not in words_of(ax)
    assert "interval" not in words_of(axes[0]) and "1 sample ·" in words_of(axes[0])


def test_few_samples_are_dots_and_dependent_ones_have_no_interval() -> None:
    statistics = samples(9)
    for intervals in (True, False):
        axes = attention_summary(statistics, intervals=intervals)
        for ax, statistic in zip(axes, STATISTICS, strict=True):
            assert sorted(dots(ax)) == sorted(sample[statistic.key] for sample in statistics)
            assert not ax.patches and not len(ax.get_yticks()) and ax.get_ylabel() == ""
            assert ("[" in words_of(ax)) == intervals and bool(ax.collections) == intervals
        assert ("interval" in words_of(axes[0])) == intervals


def test_samples_without_a_ratio_are_left_out_and_counted() -> None:
    statistics = samples(5)
    for sample in statistics[:2]:
        sample["recent_distant_ratio"] = math.nan
    *_, ratio = attention_summary(statistics)
    assert "Recent/Distant ratio (2 without a value left out)\nn = 3 " in words_of(ratio)
    assert len(dots(ratio)) == 3
    for sample in statistics:
        sample["recent_distant_ratio"] = math.nan
    *_, ratio = attention_summary(statistics)
    assert "(5 without a value left out)\nn = 0" in words_of(ratio)
    assert thresholds(ratio) == [1.2, 2.0]


def test_ratios_of_many_sizes_are_on_a_logarithmic_axis() -> None:
    statistics = [{**sample, "recent_distant_ratio": 10.0 ** (2 * at)} for at, sample in enumerate(samples(4))]
    *_, ratio = attention_summary(statistics)
    assert ratio.get_xscale() == "log" and ratio.get_xlabel().startswith("ratio (log scale): ")
    assert len(dots(ratio)) == 4


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=12))
def test_any_values_are_drawn_and_none_is_lost(values) -> None:
    keys = [statistic.key for statistic in STATISTICS]
    axes = attention_summary(
        [dict.fromkeys(keys, value) for value in values], Figure(figsize=(9, 9)).subplots(2, 2).flat
    )
    for ax in axes:
        assert sum(bar.get_height() for bar in ax.patches) + len(dots(ax)) == len(values)
        assert np.isfinite(ax.get_xlim()).all()


def test_mistakes() -> None:
    with pytest.raises(InputError, match="`statistics` is empty"):
        attention_summary([])
    with pytest.raises(InputError, match='sample 2 of `statistics` has no "entropy", only mean'):
        attention_summary([samples(1)[0], {"mean": 0.1, "std": 0.1}])
    with pytest.raises(InputError, match="expected `ax` to be 4 Axes, got 1 Axes"):
        attention_summary(samples(1), Figure().add_subplot())


def test_the_same_bytes_whatever_the_user_has_set(tmp_path) -> None:
    statistics = samples(5)

    def digest(name: str) -> str:
        (path,) = save_figure(attention_summary(statistics)[0].figure, tmp_path / name, "x")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    before = digest("a")
    with matplotlib.rc_context({"font.size": 31.0, "hist.bins": 3, "axes.grid": True}):
        user = dict(matplotlib.rcParams)
        assert digest("b") == before
        assert dict(matplotlib.rcParams) == user


def test_a_summary_of_a_small_figure_has_its_title() -> None:
    axes = Figure(figsize=(6, 6)).subplots(2, 2).ravel()
    statistics = [profile_of(seed=seed, layers=1).guide_statistics(0) for seed in range(5)]
    attention_summary(statistics, axes, title="x")
    assert axes[0].get_tightbbox().y1 <= axes[0].figure.bbox.y1
    assert axes[2].bbox.height == pytest.approx(axes[0].bbox.height)
