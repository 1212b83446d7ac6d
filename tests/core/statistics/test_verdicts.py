"""Verdicts on all pairs: what they say, of what they are the values, and how rarely a whole table is wrong."""

import numpy as np
import pytest

from keepmap.core.statistics.paired import Differences, sign_flips
from keepmap.core.statistics.verdicts import holm, paired_verdicts
from keepmap.errors import InputError

SAMPLES = np.random.default_rng(0).normal(size=24)
NOISE = np.random.default_rng(1).normal(size=(3, 24))
SCORES = {
    "good": SAMPLES + 1 + 0.05 * NOISE[0],
    "bad": SAMPLES + 0.05 * NOISE[1],
    "alike": SAMPLES + 1.001 + 0.05 * NOISE[2],
    "loud": SAMPLES + 0.4 + 3 * NOISE[0],
}


def test_what_is_said_of_each_pair() -> None:
    verdicts = paired_verdicts(SCORES, margin=0.1, unit="points")
    outcomes = {frozenset((pair.a, pair.b)): pair.outcome for pair in verdicts.pairs}
    assert outcomes[frozenset(("good", "bad"))] == outcomes[frozenset(("alike", "bad"))] == "beats"
    assert outcomes[frozenset(("good", "alike"))] == "equals"
    assert [outcomes[frozenset(("loud", name))] for name in ("good", "bad", "alike")] == ["cannot be told"] * 3
    assert verdicts.of("bad", "good").a == "good" and verdicts.of("good", "bad").difference > 0
    assert verdicts.beaten_by("good") == ("bad",) and verdicts.beaten_by("bad") == ()
    text = "\n".join(verdicts.lines)
    assert "good beats bad" in text and "equal within 0.1 points: " in text and "loud ? bad" in text
    assert verdicts.lines[-1].startswith("n=24: a true difference of ") and "points is found" in verdicts.lines[-1]
    assert repr(verdicts).startswith("Verdicts: 2 of 6 decided, 1 equal, 3 cannot be told\n")
    assert "n=24, paired, 95%, Holm, equal within 0.1 points" in verdicts.caption
    assert str(verdicts.of("good", "bad")) == "good beats bad"


def test_the_rows_are_the_pairs() -> None:
    verdicts = paired_verdicts(SCORES)
    frame = verdicts.to_pandas()
    assert len(frame) == 6 and list(frame.columns) == list(verdicts.header) == list(verdicts.rows[0])
    assert set(verdicts.columns) <= set(verdicts.header)
    assert frame["p_equal"].isna().all() and "equals" not in set(frame["outcome"])


def test_the_better_one_comes_first_whichever_way_is_better() -> None:
    up, down = (
        paired_verdicts(SCORES),
        paired_verdicts({name: -values for name, values in SCORES.items()}, better="lower"),
    )
    assert up.methods == down.methods
    assert [(pair.a, pair.b, pair.outcome) for pair in up.pairs] == [(p.a, p.b, p.outcome) for p in down.pairs]
    assert [pair.p for pair in up.pairs] == pytest.approx([pair.p for pair in down.pairs])
    assert all(first.difference == pytest.approx(-other.difference) for first, other in zip(up.pairs, down.pairs))  # noqa: B905
    assert all(pair.difference >= 0 for pair in up.pairs)


def test_the_numbers_are_those_of_the_differences() -> None:
    """And a weighted mean is what a table has: the sum of all over the sum of tokens."""
    tokens = np.random.default_rng(2).integers(50, 400, 24).astype(float)
    verdicts = paired_verdicts(SCORES, margin=0.1, weights=tokens)
    means = {name: float((values * tokens).sum() / tokens.sum()) for name, values in SCORES.items()}
    raw, equal = [], []
    for pair in verdicts.pairs:
        given = Differences(((SCORES[pair.a] - SCORES[pair.b]) * tokens)[:, None], tokens)
        raw.append(2 * min(given.above(0.0)[0], given.below(0.0)[0]))
        equal.append(max(given.above(-0.1)[0], given.below(0.1)[0]))
        assert pair.difference == pytest.approx(means[pair.a] - means[pair.b])
        assert (pair.low, pair.high) == pytest.approx([ends[0] for ends in given.intervals()])
        assert pair.detectable == pytest.approx(given.detectable(0.05 / 6)[0])
    assert [pair.p for pair in verdicts.pairs] == pytest.approx(holm(np.array(raw)))
    assert [pair.p_equal for pair in verdicts.pairs] == pytest.approx(holm(np.array(equal)))


def test_answers_that_are_right_or_wrong_have_mcnemar_s_test() -> None:
    a, b = np.array([1.0] * 20 + [0.0] * 4), np.array([1.0] * 8 + [0.0] * 14 + [1.0] * 2)
    (pair,) = paired_verdicts({"a": a, "b": b}).pairs
    assert (pair.test, pair.outcome) == ("exact McNemar", "beats") and pair.p == pytest.approx(sign_flips(a - b))
    contexts = np.repeat(np.arange(6), 4)
    (pair,) = paired_verdicts({"a": a, "b": b}, clusters=contexts).pairs
    assert (pair.test, pair.n, pair.n_clusters) == ("exact sign flips", 24, 6)
    assert pair.p == pytest.approx(sign_flips((a - b).reshape(6, 4).sum(1)))
    (pair,) = paired_verdicts({"a": a, "b": 0.5 * b}).pairs
    assert pair.test == "Student's, skew-adjusted"


def test_clusters_may_be_named_and_lie_anywhere() -> None:
    order = np.random.default_rng(0).permutation(24)
    contexts = np.repeat(["x", "y", "z", "u", "v", "w"], 4)
    here = paired_verdicts(SCORES, clusters=contexts)
    there = paired_verdicts({name: values[order] for name, values in SCORES.items()}, clusters=contexts[order].tolist())
    assert [pair.p for pair in here.pairs] == pytest.approx([pair.p for pair in there.pairs])
    assert here.pairs[0].n_clusters == 6 and "24 in 6 clusters" in here.caption
    assert [pair.p for pair in here.pairs] != pytest.approx([pair.p for pair in paired_verdicts(SCORES).pairs])


@pytest.mark.parametrize("n", [1, 2])
def test_of_fewer_than_three_nothing_is_told(n: int) -> None:
    verdicts = paired_verdicts({"a": [1.0] * n, "b": [0.0] * n}, margin=0.1)
    (pair,) = verdicts.pairs
    assert (pair.outcome, pair.p, pair.low, pair.p_equal, pair.detectable) == ("cannot be told", None, None, None, None)
    assert verdicts.lines == (f"n={n}: nothing can be told of fewer than 3",)
    assert str(pair) == "a ? b"


def test_holm_s_correction() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0] and holm(np.array([0.2])).tolist() == [0.2]


@pytest.mark.usefixtures("unchecked")
def test_a_table_in_which_nothing_differs_rarely_says_beats() -> None:
    """2,000 tables of four methods: without the correction, one in five would."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(2000):
        draws = rng.normal(size=(4, 8))
        wrong += any(pair.outcome == "beats" for pair in paired_verdicts(dict(zip("abcd", draws, strict=True))).pairs)
    assert wrong / 2000 <= 0.05


@pytest.mark.usefixtures("unchecked")
def test_a_table_in_which_all_differ_by_the_margin_rarely_says_equals() -> None:
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(1000):
        draws = 0.1 * rng.normal(size=(3, 8)) + np.array([[0.0], [0.1], [0.2]])
        pairs = paired_verdicts(dict(zip("abc", draws, strict=True)), margin=0.1).pairs
        wrong += any(pair.outcome == "equals" for pair in pairs)
    assert wrong / 1000 <= 0.05


def test_what_is_no_pair_is_named() -> None:
    with pytest.raises(InputError, match=r"expected `a` and `b` to be two of .*, got 'good' and 'other'"):
        paired_verdicts(SCORES).of("good", "other")
