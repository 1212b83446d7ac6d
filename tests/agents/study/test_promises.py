"""What the guide promised is compared with what was measured."""

from dataclasses import replace
from typing import Any

import pytest

from keepmap.agents.evaluation.returns import Estimate
from keepmap.agents.study.promises import matched, near_budget, pattern_of, promises_of
from keepmap.agents.study.results import StudyRow
from keepmap.agents.study.rows import rows_of
from tests.agents.study.some_runs import RUNS, run, study


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
    by_name = {
        (promise["promised"], promise["of"]): (promise["measured"], promise["holds"]) for promise in study().promises
    }
    assert by_name == {
        ("50 % shorter: 50 % less memory", "by attention"): ("-50.0 %", False),
        ("50 % shorter: 75 % less compute", "by attention, window re-run"): ("-37.5 %", False),
        ("50 % shorter: 75 % less compute", "by attention, cached"): ("-150.0 %", False),
        ("80 % shorter: 80 % less memory", "without attention"): ("79.0 %", True),
        ("80 % shorter: 96 % less compute", "without attention, window re-run"): ("87.5 %", False),
        ("80 % shorter: 96 % less compute", "without attention, cached"): ("50.0 %", False),
        ("50 % shorter: not matched, over 10 % lost", "the others: 0 of 1"): ("0.0 %", False),
        ("80 % shorter: not matched, over 10 % lost", "the others: 0 of 1"): ("8.0 %", None),
    }
    more = [*RUNS, run("uniform", 80.0, late=(10.0, 20.0, 14.0)), run("random", 80.0, late=(1.0, 2.0, 3.0))]
    by_name = {
        (promise["promised"], promise["of"]): (promise["measured"], promise["holds"])
        for promise in study(more).promises
    }
    assert by_name["80 % shorter: matched, under 5 % lost", "uniform"][1] is None
    result = by_name["80 % shorter: not matched, over 10 % lost", "the others: 1 of 2"]
    assert result == ("8.0 .. 86.7 %", None)


def row(compressor: str, ends: tuple[float, float] | None, percent: float = 80.0, **values: Any) -> StudyRow:
    """A row whose share of the baseline's return has this interval."""
    share = None if ends is None else Estimate(sum(ends) / 2, *ends, 8)
    (measured,) = [result for result in rows_of(RUNS, []) if result.compressor == "recency" and result.trained]
    return replace(measured, **{"compressor": compressor, "percent": percent, "share": share, **values})


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
        near_row = row("recency", (0.9, 1.0), ratio=ratio)
        assert near_budget(near_row) is near
        assert bool(promises_of([near_row], {"matched": "recency"}, [])) is near
