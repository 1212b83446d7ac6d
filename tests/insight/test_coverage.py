"""How many positions hold a share of the attention: the least that do, at any length, with what is given set apart."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from keepmap.errors import InputError
from keepmap.insight.coverage import NO_GAIN, SIMPLER, Shares, coverage, pattern_of

ROWS = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40).filter(lambda row: sum(row) > 1e-3)
SHARES = st.floats(0.05, 0.95)


@given(ROWS, SHARES, st.floats(0, 1, width=32))
@example([1.0, 1.0, 1.1920928955078125e-07], 1 / 3, 1.0)
@example([1.0] * 10, 0.3, 0.0)
def test_what_covers_is_the_least_that_covers(weights: list[float], share: float, given: float) -> None:
    row = torch.tensor(weights, dtype=torch.float64)
    numbers = coverage(Shares.of_query(row, given), share)
    wanted, slack = share * float(row.sum()), 1e-5 * float(row.sum())
    for needed, ordered in ((numbers.top, row.sort(descending=True).values), (numbers.recent, row.flip(0))):
        assert float(ordered[:needed].sum()) >= wanted - slack
        assert float(ordered[: needed - 1].sum()) < wanted + slack
    assert 0 <= numbers.top <= numbers.recent <= numbers.n == len(weights)
    # The top k of n hold k / n at least.
    assert numbers.top <= numbers.even <= numbers.n
    assert numbers.given == pytest.approx(given / (given + float(row.sum())))
    pattern, keep = pattern_of(numbers)
    assert keep == {"recency": numbers.recent, "uniform": numbers.even, "sparse": numbers.top}[pattern]


@pytest.mark.parametrize("n", [20, 200, 2000])
def test_patterns_do_not_depend_on_the_length(n: int) -> None:
    age = torch.arange(n).flip(0) / n
    noise = 1 + 0.05 * torch.rand(n, generator=torch.Generator().manual_seed(0))
    rows = {"uniform": noise, "recency": torch.exp(-8 * age) * noise, "sparse": 1e-3 * noise}
    rows["sparse"][: n // 10] = 1.0
    for pattern, row in rows.items():
        numbers = coverage(Shares.of_query(row), 0.9)
        assert pattern_of(numbers)[0] == pattern
        assert pattern_of(numbers)[1] / n == pytest.approx(
            {"uniform": 0.9, "recency": 0.29, "sparse": 0.09}[pattern], abs=0.06
        )
    assert coverage(Shares.of_query(rows["uniform"])).normalised_entropy == pytest.approx(1, abs=1e-3)


def test_the_rest_is_judged_without_the_sinks() -> None:
    recent = torch.zeros(50)
    recent[-5:] = 0.06
    for sinks in (0.0, 0.2, 0.7, 90.0):
        numbers = coverage(Shares.of_query(recent, given=sinks), 0.9)
        assert pattern_of(numbers) == ("recency", 5)
        assert numbers.sinks == (sinks > 0.3), "more than half of the attention"
    assert pattern_of(coverage(Shares.of_query(torch.zeros(50), given=1.0))) == ("sinks", 0)


def test_of_a_short_text_sinks_are_no_more_than_what_any_positions_get() -> None:
    """Of eight tokens, even attention gives half to the first four at the last query, and 0.82 over all queries."""
    row = torch.full((4,), 0.045)
    for even, sinks in ((0.9, False), (0.82, False), (0.8, True), (0.3, True)):
        assert coverage(Shares.of_query(row, given=0.82, even_given=even)).sinks == sinks


def test_a_simpler_rule_is_taken_up_to_its_limit() -> None:
    numbers = coverage(Shares.of_query(torch.ones(100)), 0.5)
    assert (numbers.even, numbers.even_top, numbers.even_recent) == (50, 50, 50)
    for recent, pattern in ((10 * SIMPLER, "recency"), (10 * SIMPLER + 1, "sparse")):
        assert pattern_of(replace(numbers, top=10, recent=recent))[0] == pattern
    for top, pattern in ((math.ceil(NO_GAIN * 50), "uniform"), (math.ceil(NO_GAIN * 50) - 1, "recency")):
        assert pattern_of(replace(numbers, top=top, recent=60))[0] == pattern
    # The most recent of each query may stand out where no position does.
    for recent, pattern in ((math.ceil(NO_GAIN * 50), "uniform"), (math.ceil(NO_GAIN * 50) - 1, "recency")):
        assert pattern_of(replace(numbers, top=50, recent=recent))[0] == pattern


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan])
def test_no_share_is_an_error(share: float) -> None:
    with pytest.raises(InputError, match="expected `share` to be above 0 and below 1"):
        coverage(Shares.of_query(torch.ones(4)), share)
