"""Runs of a study become rows: means over seeds, beside the baselines of the same seeds."""

import numpy as np
import pytest

from keepmap.agents.study.results import BASELINE
from keepmap.agents.study.rows import rows_of
from keepmap.core.intervals import mean_intervals, ratio_interval
from tests.agents.study.some_runs import RUNS, run


def test_a_row_is_the_mean_over_its_seeds_compared_with_theirs() -> None:
    rows = {(row.compressor, row.percent, row.trained): row for row in rows_of(RUNS, ["attention"])}
    assert list(rows) == [
        (BASELINE, 0.0, True),
        ("attention", 50.0, True),
        ("recency", 80.0, True),
        (BASELINE, 0.0, False),
        ("recency", 80.0, False),
    ]
    row = rows["recency", 80.0, True]
    values, before = np.array([[10.0, 18, 14], [9, 9, 9]]), np.array([[10.0, 20, 15], [10, 10, 10]])
    low, high = mean_intervals(values[:, :, None])
    assert low is not None and high is not None
    assert (row.early.mean, row.early.low, row.early.high, row.early.n) == (11.5, low[0], high[0], 3)
    assert row.whole.mean == (5 + 11.5) / 2
    assert row.share is not None and row.share.mean == pytest.approx(69 / 75)
    assert (row.share.low, row.share.high) == ratio_interval(values, before)
    assert row.loss == pytest.approx(6 / 75)
    assert row.n_seeds == 2 and row.solved == pytest.approx(1 / 6), "18 of 20 alone reaches 90 %"
    assert (row.kept, row.ratio, row.length) == (pytest.approx(10), pytest.approx(0.2), 20)
    assert (row.flops, row.bytes) == (50.0, 210)
    assert row.saved_bytes == pytest.approx(0.79)
    assert (row.saved_flops, row.saved_cached_flops) == (1 - 50 / 400, 0.5)
    assert row.again_flops == row.flops, "nothing looks at the window"
    looking = rows["attention", 50.0, True]
    assert looking.saved_bytes == -0.5
    # Its 250 are a look through the cache, 100, and 150 for what is kept; without a cache the look takes 400.
    assert (looking.again_flops, looking.saved_flops, looking.saved_cached_flops) == (550, 1 - 550 / 400, 1 - 250 / 100)
    # Without training, the reference is the baseline without training.
    alone = rows["recency", 80.0, False]
    assert alone.share is not None and alone.share.mean == pytest.approx(25 / 50)
    base = rows[BASELINE, 0.0, True]
    assert base.share is not None and (base.share.mean, base.share.low, base.share.high) == (1, 1, 1)
    assert (base.saved_flops, base.saved_cached_flops, base.saved_bytes, base.again_flops) == (0, 0, 0, 400.0)


def test_a_baseline_that_returns_nothing_gives_no_share() -> None:
    rows = rows_of([run(late=(0, 0, 0)), run("recency", 80.0)], [])
    assert [row.share for row in rows] == [None, None] and rows[1].loss is None
