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
        ratio=0.05,
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
    ax = compressor_study(result)[0 if trained else 1]
    picture = drawn(ax)
    assert list(picture) == list(NAMES)
    for name, container in picture.items():
        line, _, (bars,) = container
        shares = [row.share for row in result.results if (row.compressor, row.trained) == (name, trained)]
        np.testing.assert_allclose(line.get_ydata(orig=False), [100 * share.mean for share in shares if share])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, [[100 * share.low, 100 * share.high] for share in shares if share])
        assert np.round(line.get_xdata(orig=False)).tolist() == [0, 1, 2]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50", "80", "95"]
    assert ax.get_xlabel() == "shorter histories (%)"


def test_lines_differ_for_readers_who_see_no_colour() -> None:
    lines = [container[0] for container in drawn(compressor_study(study())[0]).values()]
    assert len({line.get_marker() for line in lines}) == len(lines) == 8
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}) == 8
    at = [line.get_xdata()[1] for line in lines]
    assert min(np.diff(sorted(at))) > 0.05, "intervals do not cover each other"


def test_both_panels_have_one_scale_and_say_what_they_show() -> None:
    left, right = compressor_study(study())
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylabel() == "return (% of the baseline's)" and right.get_ylabel() == ""
    assert "retrained with it" in [text.get_text() for text in left.texts]
    assert "in rollout only" in [text.get_text() for text in right.texts]
    legend = left.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == list(NAMES)
    texts = [text.get_text() for text in left.texts]
    assert "mean of episodes 21 to 40 · 95 % interval over 8 goals and 1 to 2 training seeds" in texts
    scratch = replace(study(), options={"from_scratch": True})
    assert "trained from nothing" in [text.get_text() for text in compressor_study(scratch)[0].texts]


def test_rows_without_a_share_or_an_interval() -> None:
    result = study(("recency", "random"))
    rows = tuple(
        replace(row, share=None if row.compressor == "random" else Estimate(0.9, None, None, 1))
        for row in result.results
    )
    picture = drawn(compressor_study(replace(result, results=rows))[0])
    assert list(picture) == ["recency"]
    (bars,) = picture["recency"][2]
    assert all(low == high for (_, low), (_, high) in bars.get_segments())
    with pytest.raises(InputError, match="`study` has no compressor with a share"):
        compressor_study(replace(result, results=result.results[:2]))


def test_into_the_users_axes() -> None:
    ax = Figure().subplots()
    assert compressor_study(study(), ax=ax, trained=False) == (ax,)
    assert drawn(ax)["recency"][0].get_ydata()[0] == pytest.approx(100 * (1 - 0.05 - 0.04 - 0.05))


def test_the_same_study_gives_the_same_bytes(tmp_path) -> None:
    results = []
    for name in ("a", "b"):
        figure = compressor_study(study())[0].get_figure(root=True)
        results.append([path.read_bytes() for path in save_figure(figure, tmp_path / name, "study", "png,svg,pdf")])
    assert results[0] == results[1]
