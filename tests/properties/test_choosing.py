"""The rules: equal to obvious loops, and what must hold whatever the scores."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from keepmap.errors import ImpossibleResultError, InputError
from keepmap.kv.choosing import Budget, Protection, Threshold, choose, decided_at
from tests.reference.rules import Rule, choose_slowly

LEVELS = [-math.inf, -2.5, -0.0, 0.0, 0.25, 0.5, 0.5000001, 1.0, 7.0, math.inf]


@st.composite
def scores(draw, most=48):
    """Scores [G, N] of a few levels, so that ties are common."""
    heads, n = draw(st.integers(1, 3)), draw(st.integers(0, most))
    rows = st.lists(st.sampled_from(LEVELS), min_size=n, max_size=n)
    return torch.tensor([draw(rows) for _ in range(heads)], dtype=torch.float32).reshape(heads, n)


protections = st.builds(Protection, n_sink=st.integers(0, 7), window=st.integers(0, 12))
densities = st.integers(0, 100).map(lambda percent: percent / 100) | st.floats(0, 1)
thresholds = st.builds(Threshold, st.sampled_from([*LEVELS, 0.3]))
budgets = st.builds(Budget, density=densities) | st.builds(Budget, count=st.integers(0, 40))
rules = thresholds | budgets
chunks = st.integers(1, 60)


def plain(rule, protection):
    """The same rule in the reference's words."""
    around = {"n_sink": protection.n_sink, "window": protection.window}
    if isinstance(rule, Threshold):
        return Rule(threshold=rule.threshold, **around)
    return Rule(density=rule.density, budget=rule.count, **around)


@given(scores(), rules, protections, chunks)
def test_equals_the_obvious_loop(scores, rule, protection, chunk):
    choice = choose(scores, rule, protection, chunk)
    expires, held = choose_slowly(scores, plain(rule, protection), chunk)
    assert torch.equal(choice.expires, expires)
    assert torch.equal(choice.held, held)


@given(scores(), rules, protections, chunks)
def test_what_expired_is_not_held_and_expiries_lie_at_chunk_ends(scores, rule, protection, chunk):
    choice = choose(scores, rule, protection, chunk)
    n = scores.shape[1]
    position = torch.arange(n)
    assert not (choice.held & (choice.expires < n)).any()
    assert ((choice.expires % chunk == 0) | (choice.expires == n)).all()
    assert ((choice.expires > position) & (choice.expires <= n)).all()


@given(scores(), rules, protections, chunks)
def test_sinks_and_window_are_never_dropped(scores, rule, protection, chunk):
    choice = choose(scores, rule, protection, chunk)
    n = scores.shape[1]
    position = torch.arange(n)
    assert choice.held[:, : protection.n_sink].all()
    assert choice.held[:, max(0, n - protection.window) :].all()
    # At every query the last `window` positions before it are seen too.
    in_window = torch.minimum(position + protection.window + 1, torch.tensor(n))
    assert (choice.expires >= in_window).all()


@given(scores(), budgets, protections, chunks)
def test_the_budget_is_never_exceeded_at_chunk_ends_and_is_used(scores, rule, protection, chunk):
    choice = choose(scores, rule, protection, chunk)
    n = scores.shape[1]
    for end in [*range(chunk, n, chunk), n]:
        left = range(protection.n_sink, max(protection.n_sink, end - protection.window))
        alive = choice.held if end == n else choice.expires > end
        held = alive[:, list(left)].sum(1)
        assert (held <= rule.capacity(len(left))).all()
        # Nothing comes back, so what is held can be less than a budget that has grown by more than came.
        if rule.count is not None:
            assert (held == min(rule.count, len(left))).all()


@given(scores(), thresholds, protections, chunks)
def test_the_threshold_drops_what_is_below_it_as_it_leaves_the_window(scores, rule, protection, chunk):
    choice = choose(scores, rule, protection, chunk)
    n = scores.shape[1]
    for head in range(scores.shape[0]):
        for j in range(n):
            left = j >= protection.n_sink and j + protection.window < n
            gone = left and float(scores[head, j]) < rule.threshold
            assert bool(choice.held[head, j]) is not gone
            if gone:
                leaves = j + protection.window + 1
                assert int(choice.expires[head, j]) == min(n, math.ceil(leaves / chunk) * chunk)
            else:
                assert int(choice.expires[head, j]) == n


@given(st.integers(1, 40), densities, protections, chunks)
def test_on_a_tie_the_earlier_goes(n, density, protection, chunk):
    choice = choose(torch.zeros(1, n), Budget(density=density), protection, chunk)
    left = choice.held[0, protection.n_sink : max(protection.n_sink, n - protection.window)].tolist()
    assert left == sorted(left)
    assert sum(left) == Budget(density=density).capacity(len(left))


@given(scores(), rules, protections)
def test_a_chunk_as_long_as_the_text_expires_nothing(scores, rule, protection):
    n = scores.shape[1]
    assert (choose(scores, rule, protection, max(1, n)).expires == n).all()


@given(scores(), st.sampled_from([Threshold(-math.inf), Budget(density=1.0), Budget(count=10**6)]), protections, chunks)
def test_rules_that_keep_everything(scores, rule, protection, chunk):
    choice = choose(scores, rule, protection, chunk)
    assert choice.held.all() and (choice.expires == scores.shape[1]).all()


@given(scores(), rules, st.integers(0, 7), st.integers(0, 12), st.integers(0, 12))
def test_a_longer_window_never_makes_an_entry_expire_earlier(scores, rule, n_sink, window, more):
    short = choose(scores, rule, Protection(n_sink, window))
    long = choose(scores, rule, Protection(n_sink, window + more))
    assert (long.expires >= short.expires).all()


@given(scores(), rules, protections, st.integers(0, 48))
def test_the_future_of_a_text_does_not_change_its_past(scores, rule, protection, cut):
    whole, part = choose(scores, rule, protection), choose(scores[:, :cut], rule, protection)
    assert torch.equal(whole.expires[:, :cut].clamp(max=part.expires.shape[1]), part.expires)


@given(st.integers(0, 100_000), st.integers(0, 1000))
def test_the_capacity_is_that_of_the_decimal_that_was_typed(m, thousandths):
    expected = -(-m * thousandths // 1000)
    assert Budget(density=thousandths / 1000).capacity(m) == expected


@given(st.integers(0, 60), protections, chunks)
def test_decided_at_is_the_end_of_the_chunk_in_which_a_position_leaves(n, protection, chunk):
    ends = [*range(chunk, n, chunk), n]
    decided = decided_at(n, protection, chunk, torch.device("cpu")).tolist()
    for j in range(n):
        assert decided[j] == next((end for end in ends if j + protection.window < end), n)


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.1, math.inf])
def test_a_density_outside_0_to_1_is_refused(value):
    with pytest.raises(InputError, match="density"):
        Budget(density=value)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Threshold(math.nan),
        lambda: Budget(),
        lambda: Budget(density=0.5, count=3),
        lambda: Budget(count=-1),
        lambda: Protection(n_sink=-1),
        lambda: Protection(window=-1),
        lambda: choose(torch.zeros(1, 3), Threshold(0.0), Protection(), 0),
    ],
)
def test_bad_input_is_one_line(bad):
    with pytest.raises(InputError) as raised:
        bad()
    assert "\n" not in str(raised.value)


def test_a_nan_score_is_an_error():
    with pytest.raises(ImpossibleResultError, match="NaN"):
        choose(torch.tensor([[0.0, math.nan]]), Threshold(-math.inf), Protection())
