"""Runs of a study become rows; what was promised is compared with them; the file says all of it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepmap.agents.evaluation.returns import Estimate
from keepmap.agents.study.promises import matched, near_budget, pattern_of, promises_of
from keepmap.agents.study.results import BASELINE, Study, StudyRow, StudyRun, read_study, rows_of, write_study
from keepmap.core.intervals import bootstrap_means, bootstrap_ratio
from keepmap.errors import InputError


def run(
    compressor: str = BASELINE,
    percent: float = 0.0,
    seed: int = 0,
    trained: bool = True,
    late: tuple[float, ...] = (10.0, 20.0, 15.0),
    flops: float = 100.0,
    bytes: int = 1000,
) -> StudyRun:
    """Returns of 5 in the first 20 episodes, and as given from there on."""
    returns = np.full((3, 2, 40), 5.0)
    returns[:, :, 20:] = np.array(late)[:, None, None]
    return StudyRun(
        compressor=compressor,
        percent=percent,
        length=round(100 * (1 - percent / 100)),
        seed=seed,
        trained=trained,
        optimum=(20.0, 20.0, 16.0),
        returns=returns,
        kept=50.0 * (1 - percent / 100),
        most_kept=100,
        length_mean=50.0,
        flops=flops,
        bytes=bytes,
        again_flops=400.0 if compressor == BASELINE else None,
        distance=(0.1, 0.2, 0.3),
        entropy=(0.5, math.nan, 0.7) if percent == 95 else (0.5, 0.6, 0.7),
        baseline_entropy=(0.4, 0.4, 0.4),
        nats=(3.0, 3.2, 3.4),
        recent_distant=(1.0, 1.5, 2.0),
    )


RUNS = [
    run(),
    run(seed=1, late=(10.0, 10.0, 10.0)),
    run(trained=False, late=(10.0, 20.0, 20.0)),
    run("recency", 80.0, 0, late=(10.0, 18.0, 14.0), flops=40.0, bytes=210),
    run("recency", 80.0, 1, late=(9.0, 9.0, 9.0), flops=60.0, bytes=200),
    run("recency", 80.0, 0, trained=False, late=(5.0, 10.0, 10.0), flops=40.0, bytes=200),
    run("attention", 50.0, 0, late=(10.0, 20.0, 15.0), flops=250.0, bytes=1500),
]


def test_a_row_is_the_mean_over_its_seeds_compared_with_theirs() -> None:
    rows = {(row.compressor, row.percent, row.trained): row for row in rows_of(RUNS, ["attention"], seed=3)}
    assert list(rows) == [
        (BASELINE, 0.0, True),
        ("attention", 50.0, True),
        ("recency", 80.0, True),
        (BASELINE, 0.0, False),
        ("recency", 80.0, False),
    ]
    row = rows["recency", 80.0, True]
    values, before = np.array([[10.0, 18, 14], [9, 9, 9]]), np.array([[10.0, 20, 15], [10, 10, 10]])
    low, high = bootstrap_means(values[:, :, None], 3)
    assert low is not None and high is not None
    assert (row.early.mean, row.early.low, row.early.high, row.early.n) == (11.5, low[0], high[0], 3)
    assert row.whole.mean == (5 + 11.5) / 2
    assert row.share is not None and row.share.mean == pytest.approx(69 / 75)
    assert (row.share.low, row.share.high) == bootstrap_ratio(values, before, 3)
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


def test_late_episodes_are_21_to_40() -> None:
    one = run()
    for episode, late in ((19, False), (20, True), (39, True)):
        returns = one.returns.copy()
        returns[:, :, episode] = 100
        assert ((replace(one, returns=returns).early > one.early) == late).all()


def test_a_run_reads_back() -> None:
    one = run("recency", 95.0)
    said = json.loads(json.dumps(one.document(), allow_nan=False))
    again = StudyRun.from_document(said)
    assert (again.returns == one.returns).all()
    assert math.isnan(again.entropy[1]) and again.document() == one.document()


def study(runs: list[StudyRun] = RUNS) -> Study:
    rows, pattern = rows_of(runs, ["attention"]), pattern_of(runs)
    return Study(rows, promises_of(rows, pattern, ["attention"]), pattern, {"from_scratch": False}, {"torch": "2"})


def test_the_file_reads_back_and_has_the_same_bytes(tmp_path: Path) -> None:
    write_study(tmp_path / "a.json", study())
    write_study(tmp_path / "b.json", study())
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    found = read_study(tmp_path / "a.json")
    assert found.rows == study().rows and found.document() == study().document()
    assert found.row("recency", 80.0, True) == found.rows[2] and found.row("recency", 50.0, True) is None


@pytest.mark.parametrize("text", ["", "[]", '{"format": "keepmap-study/1"}', '{"format": "keepmap-evaluation/1"}'])
def test_a_file_that_is_no_study(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"no study at .*none.json: no such file; keepmap study writes one"):
        read_study(tmp_path / "none.json")
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x.json is no study: "):
        read_study(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("nats", "ratio", "name"),
    [
        (3.0, 2.1, "recency"),
        (2.1, 2.0, "uniform"),
        (1.4, 1.0, "attention"),
        (1.7, 1.0, "adaptive"),
        (1.0, 9.0, "recency"),
    ],
)
def test_the_guide_matches_a_compressor_to_a_pattern(nats: float, ratio: float, name: str) -> None:
    assert matched(nats, ratio) == name


def test_the_pattern_is_that_of_the_baseline_as_it_was() -> None:
    trained = replace(RUNS[0], nats=(9.0, 9.0, 9.0), recent_distant=(9.0, 9.0, 9.0))
    assert pattern_of([trained, *RUNS[1:]]) == {
        "nats": pytest.approx(3.2),
        "recent_distant": pytest.approx(1.5),
        "matched": "uniform",
    }


def test_promises_hold_where_the_numbers_say_so() -> None:
    said = {(one["promised"], one["of"]): (one["measured"], one["holds"]) for one in study().promises}
    assert said == {
        ("50 % shorter: 50 % less memory", "by attention"): ("-50.0 %", False),
        ("50 % shorter: 75 % less compute", "by attention, window re-run"): ("-37.5 %", False),
        ("50 % shorter: 75 % less compute", "by attention, cached"): ("-150.0 %", False),
        ("80 % shorter: 80 % less memory", "without attention"): ("79.0 %", True),
        ("80 % shorter: 96 % less compute", "without attention, window re-run"): ("87.5 %", False),
        ("80 % shorter: 96 % less compute", "without attention, cached"): ("50.0 %", False),
        ("50 % shorter: not matched, over 10 % lost", "the others: 0 of 1"): ("0.0 %", False),
        ("80 % shorter: not matched, over 10 % lost", "the others: 0 of 1"): ("8.0 %", False),
    }
    more = [*RUNS, run("uniform", 80.0, late=(10.0, 20.0, 14.0)), run("random", 80.0, late=(1.0, 2.0, 3.0))]
    said = {(one["promised"], one["of"]): (one["measured"], one["holds"]) for one in study(more).promises}
    assert said["80 % shorter: matched, under 5 % lost", "uniform"][1] is None
    found = said["80 % shorter: not matched, over 10 % lost", "the others: 1 of 2"]
    assert found == ("8.0 .. 86.7 %", False)


def row(compressor: str, ends: tuple[float, float] | None, percent: float = 80.0, **values: Any) -> StudyRow:
    """A row whose share of the baseline's return has this interval."""
    share = None if ends is None else Estimate(sum(ends) / 2, *ends, 8)
    (made,) = [one for one in rows_of(RUNS, []) if one.compressor == "recency" and one.trained]
    return replace(made, **{"compressor": compressor, "percent": percent, "share": share, **values})


@pytest.mark.parametrize(
    ("ends", "measured", "holds"),
    [
        ((0.96, 1.02), "1.0 % (-2.0 .. 4.0 %)", True),
        ((0.94, 1.0), "3.0 % (0.0 .. 6.0 %)", None),
        ((0.80, 0.94), "13.0 % (6.0 .. 20.0 %)", False),
        (None, "-", None),
    ],
)
def test_a_loss_is_small_where_its_interval_is(
    ends: tuple[float, float] | None, measured: str, holds: bool | None
) -> None:
    (*_, last) = promises_of([row("recency", ends)], {"matched": "recency"}, [])
    assert (last["promised"], last["measured"], last["holds"]) == (
        "80 % shorter: matched, under 5 % lost",
        measured,
        holds,
    )


@pytest.mark.parametrize(
    ("shares", "count", "holds"),
    [
        ([(0.1, 0.2), (0.5, 0.89)], 2, True),
        ([(0.1, 0.2), (0.5, 0.91)], 1, None),
        ([(0.1, 0.2), (0.91, 0.95), None], 1, False),
        ([None, (0.0, 0.0)], 1, None),
    ],
)
def test_a_loss_is_large_where_its_interval_is(
    shares: list[tuple[float, float] | None], count: int, holds: bool | None
) -> None:
    others = [row(name, ends) for name, ends in zip(("random", "uniform", "adaptive"), shares, strict=False)]
    (*_, last) = promises_of(others, {"matched": "recency"}, [])
    assert (last["of"], last["holds"]) == (f"the others: {count} of {len(shares)}", holds)


@pytest.mark.parametrize(("saved", "holds"), [(0.751, True), (0.749, False), (0.99, True)])
def test_saving_more_than_was_promised_breaks_no_promise(saved: float, holds: bool) -> None:
    (first, *_) = promises_of([row("recency", None, saved_bytes=saved)], {"matched": "recency"}, [])
    assert first == {
        "promised": "80 % shorter: 80 % less memory",
        "of": "without attention",
        "measured": f"{100 * saved:.1f} %",
        "holds": holds,
    }


def test_rows_that_keep_another_share_than_their_budget_decide_nothing() -> None:
    for ratio, near in ((0.2, True), (0.29, True), (0.11, True), (0.31, False), (0.03, False)):
        one = row("recency", (0.9, 1.0), ratio=ratio)
        assert near_budget(one) is near
        assert bool(promises_of([one], {"matched": "recency"}, [])) is near
