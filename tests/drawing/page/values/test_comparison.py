"""What the page says of a comparison: a verdict that is so, warnings where they are due, settings named once."""

from dataclasses import replace

import numpy as np
import pytest

from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.content import ReportedRun, run_document
from keepmap.drawing.page.spans import Span
from keepmap.drawing.page.values.comparison import verdict_of, warnings_of
from tests.drawing.page.pages import compared, keep_maps, words


@pytest.fixture(scope="module")
def comparison():
    return compared({name: keep_maps(120)["h2o"] for name in ("h2o", "kvzap")}, words(120))


def document(comparison, redact_text=False, spans=(), **words):
    return run_document(ReportedRun(value=comparison, **words), Arrays(), spans, redact_text)[0]


def test_the_verdict_is_the_lowest_cost_with_its_interval_and_what_it_holds(comparison):
    held = comparison.methods[0].footprint
    assert verdict_of(comparison) == (
        "H2O costs least: +0.100 nats per token (95 % interval +0.080 to +0.130) against the full cache, while it "
        f"holds {held:.0%} of it; KVZAP costs most, +0.200."
    )
    assert warnings_of(comparison) == []


def test_what_cannot_be_ranked_is_not(comparison):
    loose = replace(comparison, methods=(comparison.methods[0], replace(comparison.methods[1], footprint=0.99)))
    assert "cannot be ranked" in verdict_of(loose) and "99% of the cache" in verdict_of(loose)
    assert any(line.startswith("Not ranked") for line in warnings_of(loose))


def test_warnings_say_what_a_reader_should_know_before_the_numbers(comparison):
    # Intervals that overlap say nothing of a difference that is the same in each text; one that changes its sign does.
    wide = tuple(replace(row, nll_delta_low=0.0, nll_delta_high=1.0) for row in comparison.methods)
    assert warnings_of(replace(comparison, methods=wide)) == []
    samples = [
        replace(each, nll=each.nll + 30.0 * (-1) ** each.sample) if each.method == "kvzap" else each
        for each in comparison.samples
    ]
    assert warnings_of(replace(comparison, samples=tuple(samples))) == [
        "H2O is not surely better than KVZAP, paired over texts: their order is not certain."
    ]
    few = replace(comparison, baseline=replace(comparison.baseline, n_samples=2), complete=False)
    few = replace(few, configuration={**few.configuration, "left_out": ["x (why)"], "skipped": list("abcd")})
    assert warnings_of(few) == [
        "Stopped before its end: these are the texts that every method is done with.",
        "No intervals: 2 texts, and they need 3.",
        "Left out: x (why)",
        "Skipped: a; b; c and 1 more.",
    ]


def test_settings_that_are_the_same_for_all_methods_are_said_once(comparison):
    configuration = {"n_sink": {"h2o": 4, "kvzap": 4}, "windows": {"h2o": 4, "kvzap": 5}, "x": None, "methods": []}
    of = document(replace(comparison, configuration={**comparison.configuration, **configuration}))
    named = dict(of["settings"])
    assert (named["n_sink"], named["windows"], named["methods"], "x" in named) == ("4", "h2o 4, kvzap 5", "none", False)


def test_how_to_have_it_again(comparison):
    of = document(comparison, folder="a 'b'", command=("keepmap", "compare", "--data_path", "my data.jsonl"))
    assert of["command"] == "keepmap compare --data_path 'my data.jsonl'"
    assert of["python"].splitlines()[2] == "comparison = keepmap.read_comparison(\"a 'b'\")"
    of = document(comparison)
    assert of["command"] is None
    assert of["python"].splitlines()[2] == "# Needs `comparison`, which was in memory alone when this page was written."


def test_without_tokens_or_of_another_text_there_is_no_text_and_no_damage(comparison):
    spans = [Span("a", 1, 3), Span("b", text="nowhere")]
    of = document(comparison, spans=spans)
    assert of["spans"] == [{"name": "a", "start": 1, "end": 3}]
    assert of["warnings"] == ['No span "b": it is not in the text, or the text is not here.']
    for other in (
        {},
        {
            key: replace(costs, nll=np.zeros(3, np.float32), kl=np.zeros(3, np.float32), pieces=("a",))
            for key, costs in comparison.token_costs.items()
        },
    ):
        _, maps = run_document(ReportedRun(value=replace(comparison, token_costs=other)), Arrays(), spans, False)
        assert [packed.about["nll"] for packed in maps] == [None, None]
        assert document(replace(comparison, token_costs=other))["text"] is None


def test_each_text_has_what_it_cost_beside_the_full_cache(comparison):
    texts = document(comparison)["texts"]
    assert texts["of"] == len(texts["names"]) == 4 and texts["names"][1] == "line 2, 120 tokens"
    assert len(texts["points"]) == 8
    for point in texts["points"]:
        full, own = (
            next(each for each in comparison.samples if (each.sample, each.method) == (point["text"], key))
            for key in ("baseline", point["method_key"])
        )
        assert point["nll_delta"] == pytest.approx((own.nll - full.nll) / 119)
        assert (point["kl"], point["footprint"]) == (own.kl / 119, own.footprint)
    alone = replace(comparison, baseline=replace(comparison.baseline, n_samples=1))
    assert "texts" not in document(alone)
