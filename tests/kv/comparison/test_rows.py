"""From the results of samples to a comparison; a single row is tested with the results."""

from keepmap.kv.comparison.rows import build_comparison, complete_samples
from keepmap.kv.comparison.session import evaluate_sample


def test_a_comparison_counts_complete_samples_in_any_order(session):
    results = {}
    for index in (3, 0, 1):
        for done in evaluate_sample(session, index):
            results[index, done.result.method] = done.result
    del results[1, "h2o"]
    assert complete_samples(results, session.facts) == [0, 3]
    comparison = build_comparison(results, session.facts, {})
    backwards = build_comparison(dict(reversed(results.items())), session.facts, {})
    assert comparison is not None and comparison == backwards
    assert (comparison.complete, comparison.validated, comparison.baseline.n_samples) == (False, 2, 2)
    assert [row.avg_nll for row in comparison.methods] == sorted(row.avg_nll for row in comparison.methods)
    assert build_comparison({}, session.facts, {}) is None
