"""From trials to what is said: when an insight holds, how often, and in words."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from keepmap.core.intervals import mean_interval
from keepmap.errors import InputError
from keepmap.insight.coverage import Shares, coverage
from keepmap.insight.deletions import at_random, by_pattern, by_share
from keepmap.insight.verification import RULES, LeftOut, Verification, rate_of
from tests.insight.trials import three_insights, trial_of, verification_of


@pytest.fixture(scope="module")
def verification() -> Verification:
    return three_insights()


def test_an_insight_holds_where_it_beats_random(verification: Verification) -> None:
    words = {(insight.rule, insight.layer): insight.word for insight in verification.insights}
    assert words == {
        ("guide", 0): "refuted: not distinguishable from random",
        ("ours", 0): "held",
        ("guide", 1): "refuted: random is better",
    }
    for insight in verification.insights:
        assert (
            insight.n == 20 and insight.kept == 0.25 and insight.saved == pytest.approx(insight.random - insight.cost)
        )
        assert insight.low is not None and insight.high is not None and insight.low < insight.saved < insight.high
    # The other cost says the opposite here.
    assert [insight.held for insight in verification.insights_by("log_likelihood")] == [False, False, True]


def test_one_sample_proves_nothing() -> None:
    (insight,) = verification_of(trial_of("ours", 0, 0, 0.0, 5.0), n_samples=1).insights
    assert (insight.low, insight.high, insight.held) == (None, None, False)
    assert insight.word == "refuted: not distinguishable from random"


def test_samples_of_one_group_count_once() -> None:
    noise = np.random.default_rng(1).normal(1, 0.5, 12)
    alone = [trial_of("ours", 0, sample, 0.0, value) for sample, value in enumerate(noise)]
    (apart,) = verification_of(*alone).insights
    (paired,) = verification_of(*(replace(insight, group=insight.sample // 2) for insight in alone)).insights
    assert (apart.n, apart.groups, paired.n, paired.groups) == (12, 12, 12, 6)
    low, high = mean_interval(noise.reshape(6, 2).mean(1))
    assert (paired.low, paired.high) == (pytest.approx(low), pytest.approx(high))
    (insight,) = verification_of(*(replace(trial, group=0) for trial in alone)).insights
    assert (insight.low, insight.high, insight.held) == (None, None, False)


def test_noise_seldom_holds() -> None:
    drawn = np.random.default_rng(2)
    for n in (3, 5, 8):
        held = sum(
            verification_of(
                *(trial_of("ours", 0, sample, 0.0, value) for sample, value in enumerate(drawn.normal(size=n)))
            )
            .insights[0]
            .held
            for _ in range(400)
        )
        assert held < 24, f"{held} of 400 held with {n} samples, where 10 are expected"


def test_how_often_a_rule_is_cheaper(verification: Verification) -> None:
    guide, ours = (verification.rate(rule) for rule in RULES)
    assert (ours.wins, ours.n, ours.groups) == (20, 20, 20)
    assert ours.low == pytest.approx(0.8389, abs=1e-4) and ours.high == 1
    assert guide.n == 40 and guide.groups == 20 and 0 < guide.wins < 20
    assert guide.low is not None and guide.high is not None and guide.low < guide.wins / 40 < guide.high
    assert verification.rate("seed") == guide
    with pytest.raises(InputError, match='expected `rule` to be "guide" or "ours", got \'mine\''):
        verification.rate("mine")
    both = rate_of([verification, verification], "guide")
    assert (both.wins, both.n, both.groups) == (2 * guide.wins, 80, 40)
    tie = verification_of(trial_of("ours", 0, 0, 1.0, 1.0), trial_of("ours", 0, 1, 1.0, 1.5)).rate("ours")
    assert (tie.wins, tie.n) == (1, 2)
    none = verification_of().rate("ours")
    assert (none.wins, none.n, none.low) == (0, 0, None)


def test_where_nothing_is_dropped_there_is_notrial_of() -> None:
    left_out = LeftOut()
    assert [left_out.notes(2, "ours", kept, 9) for kept in (9, 5, 0, 9)] == [True, False, True, True]
    assert left_out.lines(6) == (
        "layer 2, ours: no trial in 1 of 6 samples: it keeps only what stays in any case",
        "layer 2, ours: no trial in 2 of 6 samples: nothing is dropped",
    )


@given(
    st.integers(2, 30),
    st.integers(0, 40),
    st.sampled_from(["recency", "uniform", "sparse", "mixed", "sinks"]),
    st.data(),
)
def test_both_arms_keep_as_many_beside_what_stays(n: int, length: int, pattern: str, data: st.DataObject) -> None:
    row = torch.tensor(data.draw(st.lists(st.floats(0.125, 1, width=32), min_size=n, max_size=n)))
    stays = torch.zeros(n, dtype=torch.bool)
    stays[-1] = stays[: data.draw(st.integers(0, n - 1))] = True
    choice = by_pattern(pattern, length, row, stays)
    assert not (choice.kept & stays).any() and int(choice.kept.sum()) <= min(length, int((~stays).sum()))
    if length >= n:
        assert (choice.kept | stays).all()
    kept = torch.stack([choice.kept, ~stays])
    drawn = at_random(kept, stays, np.random.default_rng(0))
    assert torch.equal(drawn.sum(1), kept.sum(1)) and not (drawn & stays).any() and torch.equal(drawn[1], ~stays)


def test_patterns_keep_what_their_compressors_keep() -> None:
    row, stays = torch.tensor([0.3, 0.01, 0.2, 0.01, 0.02, 0.03, 0.1, 0.0]), torch.zeros(8, dtype=torch.bool)
    kept = {
        name: by_pattern(name, 3, row, stays).kept.nonzero()[:, 0].tolist() for name in ("recency", "uniform", "sparse")
    }
    assert kept == {"recency": [5, 6, 7], "uniform": [0, 3, 7], "sparse": [0, 2, 6]}
    choice = by_share(Shares.of_query(row, 9.0), 0.8, stays)
    assert choice.pattern == "sparse" and int(choice.kept.sum()) == coverage(Shares.of_query(row), 0.8).top == 3
    nothing = by_share(Shares.of_query(torch.zeros(8), 9.0), 0.7, stays)
    assert nothing.pattern == "sinks" and not nothing.kept.any()


def test_a_table_of_insights_and_an_answer_first(verification: Verification) -> None:
    assert [(row["layer"], row["rule"], row["verdict"]) for row in verification.rows] == [
        (0, RULES[0], "refuted: not distinguishable from random"),
        (0, RULES[1], "held"),
        (1, RULES[0], "refuted: random is better"),
    ]
    assert [*verification.rows[0]] == [*verification.columns, "groups"] == [*verification.header]
    lines = repr(verification).splitlines()
    assert len(lines) <= 4 and lines[0].startswith("Verification: 1 of 3 insights held; agent, 20 samples, 8 random")
    assert lines[2] == "  ours: 1 of 1 insights held; cheaper than random in 20 of 20 trials"
    assert verification.to_csv().count("\n") == 4
    assert "<caption>1 of 3 insights held" in verification._repr_html_()
    assert repr(verification_of()).endswith("ours: no trials")
