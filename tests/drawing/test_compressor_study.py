"""The figure of a study: the data that is drawn, and what can be seen of it."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from keepmap.agents.evaluation.returns import Estimate
from keepmap.agents.study.results import BASELINE, Study, StudyRow
from keepmap.drawing import compressor_study, save_figure
from keepmap.errors import InputError

NAMES = (
    *("adaptive", "attention", "exponential_decay", "random"),
    *("recency", "reward_aware", "threshold", "uniform"),
)
BUDGETS = (50.0, 80.0, 95.0)
KEPT = {0.0: 1.0, 50.0: 0.55, 80.0: 0.225, 95.0: 0.057}


def row(compressor: str, percent: float, trained: bool, share: Estimate | None) -> StudyRow:
    some = Estimate(10.0, 9.0, 11.0, 8)
    return StudyRow(
        compressor=compressor,
        percent=percent,
        length=6,
        trained=trained,
        n_seeds=2 if percent == 80 else 1,
        early=some,
        whole=some,
        share=share,
        solved=1.0,
        kept=5.0,
        most_kept=6,
        ratio=KEPT[percent] if compressor != "threshold" else 0.03,
        flops=1e6,
        again_flops=1.0,
        bytes=100,
        saved_bytes=0.5,
        saved_flops=0.5,
        saved_cached_flops=0.5,
        distance=some,
        entropy=0.5,
        baseline_entropy=0.5,
    )


def study(names: tuple[str, ...] = NAMES) -> Study:
    rows = [row(BASELINE, 0.0, trained, Estimate(1.0, 1.0, 1.0, 8)) for trained in (True, False)]
    for number, name in enumerate(names):
        for percent in BUDGETS:
            for trained in (True, False):
                mean = 1 - percent / 1000 - number / 100 - (0.0 if trained else 0.05)
                rows.append(row(name, percent, trained, Estimate(mean, mean - 0.02, mean + 0.01, 8)))
    return Study(tuple(rows), (), {}, {"from_scratch": False}, {})


def drawn(ax: Axes) -> dict[str, ErrorbarContainer]:
    return {str(bars.get_label()): bars for bars in ax.containers if isinstance(bars, ErrorbarContainer)}


@pytest.mark.parametrize("trained", [True, False])
def test_points_and_intervals_are_the_data(trained: bool) -> None:
    result = study()
    axes = compressor_study(result)
    assert len(axes) == len(NAMES)
    for name, ax in zip(NAMES, axes, strict=True):
        assert name in [text.get_text() for text in ax.texts]
        line, _, (bars,) = drawn(ax)["retrained" if trained else "in rollout only"]
        rows = [row for row in result.results if (row.compressor, row.trained) == (name, trained)]
        rows.sort(key=lambda row: row.ratio)
        shares = [row.share for row in rows if row.share]
        np.testing.assert_allclose(line.get_xdata(orig=False), [100 * row.ratio for row in rows])
        np.testing.assert_allclose(line.get_ydata(orig=False), [100 * share.mean for share in shares])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, [[100 * share.low, 100 * share.high] for share in shares])
    assert axes[0].get_xscale() == "log"
    assert [tick.get_text() for tick in axes[0].get_xticklabels()] == ["5", "10", "20", "50", "100"]


def test_the_two_ways_differ_for_readers_who_see_no_colour() -> None:
    lines = [container[0] for container in drawn(compressor_study(study())[0]).values()]
    assert len({line.get_marker() for line in lines}) == len({line.get_linestyle() for line in lines}) == 2


def test_panels_have_one_scale_and_say_what_they_show() -> None:
    axes = compressor_study(study())
    assert len({ax.get_ylim() for ax in axes}) == len({ax.get_xlim() for ax in axes}) == 1
    low, high = axes[0].get_xlim()
    assert low < 3 and high > 100, "every point is in its panel"
    assert [bool(ax.get_ylabel()) for ax in axes] == [True, False, False, False] * 2
    assert [bool(ax.get_xlabel()) for ax in axes] == [False] * 4 + [True] * 4
    legend = axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "retrained with it",
        "in rollout only",
        "the whole history",
    ]
    texts = [text.get_text() for text in axes[0].texts]
    assert "mean of episodes 21 to 40 · 95 % interval over 8 goals and 1 to 2 training seeds" in texts
    scratch = compressor_study(replace(study(), options={"from_scratch": True}))[0].get_legend()
    assert scratch is not None and scratch.get_texts()[0].get_text() == "trained from nothing with it"


def test_rows_without_a_share_or_an_interval() -> None:
    result = study(("recency", "random"))
    rows = tuple(
        replace(row, share=None if row.compressor == "random" else Estimate(0.9, None, None, 1))
        for row in result.results
    )
    (ax,) = compressor_study(replace(result, results=rows))
    (bars,) = drawn(ax)["retrained"][2]
    assert all(low == high for (_, low), (_, high) in bars.get_segments())
    with pytest.raises(InputError, match="`study` has no compressor with a share"):
        compressor_study(replace(result, results=result.results[:2]))


def test_into_the_users_axes() -> None:
    axes = Figure().subplots(2)
    result = study(("recency", "uniform"))
    assert compressor_study(result, ax=axes) == tuple(axes)
    assert drawn(axes[1])["in rollout only"][0].get_ydata()[-1] == pytest.approx(100 * (1 - 0.05 - 0.01 - 0.05))
    with pytest.raises(InputError, match="expected `ax` to be 2 Axes, got 1"):
        compressor_study(result, ax=axes[0])


def test_the_same_study_gives_the_same_bytes(tmp_path) -> None:
    results = []
    for name in ("a", "b"):
        figure = compressor_study(study())[0].get_figure(root=True)
        results.append([path.read_bytes() for path in save_figure(figure, tmp_path / name, "study", "png,svg,pdf")])
    assert results[0] == results[1]
