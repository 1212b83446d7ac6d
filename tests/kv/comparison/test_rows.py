"""From the results of samples to a comparison; a single row is tested with the results."""

from dataclasses import replace

from keepmap.kv.comparison.rows import build_comparison, complete_samples
from keepmap.kv.comparison.session import Finished, evaluate_sample


def test_a_comparison_counts_complete_samples_in_any_order(session):
    results = {}
    for index in (3, 0, 1):
        for done in evaluate_sample(session, index):
            if isinstance(done, Finished):
                results[index, done.result.method] = done.result
    del results[1, "h2o"]
    assert complete_samples(results, session.facts) == [0, 3]
    comparison = build_comparison(results, session.facts, {})
    backwards = build_comparison(dict(reversed(results.items())), session.facts, {})
    assert comparison is not None and comparison == backwards
    assert (comparison.complete, comparison.validated, comparison.baseline.n_samples) == (False, 2, 2)
    plans = [plan.key for plan in session.facts.plans]
    assert not comparison.rankable and [row.method_key for row in comparison.methods] == plans
    alike = {
        (sample, key): replace(result, method=key, nll=result.nll + plans.index(key) * -0.1)
        for (sample, _), result in results.items()
        for key in plans
    } | {key: result for key, result in results.items() if key[1] not in plans}
    ranked = build_comparison(alike, session.facts, {})
    assert ranked is not None and ranked.rankable
    assert [row.avg_nll for row in ranked.methods] == sorted(row.avg_nll for row in ranked.methods)
    assert [row.method_key for row in ranked.methods] == plans[::-1]
    assert build_comparison({}, session.facts, {}) is None
