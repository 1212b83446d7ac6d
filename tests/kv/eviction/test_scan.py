"""Decisions by received attention, step by step against loops over the whole matrix."""

from dataclasses import replace

import pytest
import torch

from keepmap.errors import ImpossibleResultError
from keepmap.kv.choosing import Budget, Protection, Threshold
from keepmap.kv.eviction.scan import scan
from keepmap.kv.methods.h2o import H2O
from keepmap.kv.methods.observed_attention import ObservedAttention
from tests.kv.eviction.calls import layer_call, obvious_output, sees
from tests.reference.attention import dense_weights
from tests.reference.rules import Rule, dropped


def obvious(call, method, rule, chunk):
    """expires, held [G, N]: after every chunk the weights of all queries so far, anew."""
    heads, n = call.keys.shape[:2]
    group = call.queries.shape[0] // heads
    expires, held = torch.full((heads, n), n), torch.ones(heads, n, dtype=torch.bool)
    for start in range(0, n, chunk):
        end = min(start + chunk, n)
        weights = dense_weights(call.queries, call.keys, sees(call, expires), call.scaling, call.softcap, call.sinks)
        total = weights.view(heads, group, n, n)[:, :, :end].mean(1).sum(1)
        scores = method.score(total, (end - torch.arange(n)).clamp(min=1)[None])
        for head in range(heads):
            for j in dropped(scores[head], held[head], rule, start, end):
                held[head, j] = False
                expires[head, j] = end
    return expires, held


class Mine(ObservedAttention):
    """A method of one's own, whose score is called at every step."""

    def score(self, total, queries):
        return 2 * super().score(total, queries)


@pytest.mark.parametrize("method", [H2O(), ObservedAttention(), Mine()], ids=["h2o", "observed", "own"])
@pytest.mark.parametrize("chunk", [1, 7])
@pytest.mark.parametrize("options", [{}, {"own_window": 9, "with_sinks": True}, {"softcap": 1.0}], ids=str)
@pytest.mark.parametrize("rule", [Budget(density=0.4), Budget(count=3), Threshold(0.3)], ids=str)
def test_equals_the_obvious_loop(method, chunk, options, rule):
    call = layer_call(36, **options)
    scanned = scan(call, method, rule, Protection(2, 5), chunk)
    result, scores = scanned.choice, scanned.scores
    plain = {"threshold": rule.threshold} if isinstance(rule, Threshold) else {"density": rule.density}
    if isinstance(rule, Budget) and rule.count is not None:
        plain = {"budget": rule.count}
    expires, held = obvious(call, method, Rule(**plain, n_sink=2, window=5), chunk)
    assert torch.equal(result.expires, expires) and torch.equal(result.held, held)
    assert 0 < int(held.sum()) < held.numel()
    torch.testing.assert_close(scanned.output, obvious_output(call, expires), rtol=1e-11, atol=1e-11)
    if isinstance(rule, Threshold):
        decided = scores[:, 2:31]
        assert torch.equal(decided < rule.threshold, ~held[:, 2:31])


@pytest.mark.parametrize("with_sinks", [False, True])
@pytest.mark.parametrize("method", [H2O(), Mine()], ids=["compiled", "own"])
def test_a_row_whose_largest_weights_are_gone_keeps_its_digits(method, with_sinks):
    call = layer_call(36, with_sinks=with_sinks)
    call = replace(call, queries=60 * call.queries)
    scanned = scan(call, method, Threshold(1e9), Protection(0, 3), 1)
    expires = (torch.arange(36) + 4).clamp(max=36).expand(2, 36)
    assert torch.equal(scanned.choice.expires, expires)
    torch.testing.assert_close(scanned.output, obvious_output(call, expires), rtol=1e-9, atol=1e-9)


def test_half_precision_is_attended_to_elsewhere():
    call = layer_call()
    half = {name: getattr(call, name).bfloat16() for name in ("queries", "keys", "values")}
    assert scan(replace(call, **half), H2O(), Budget(density=0.4), Protection(2, 5), 1).output is None


def test_a_score_that_is_nan_is_impossible():
    call = layer_call()
    call.keys[1, 4] = torch.nan
    with pytest.raises(ImpossibleResultError, match="^a score of the method h2o is NaN in layer 0: its `score`"):
        scan(call, H2O(), Threshold(0.1), Protection(0, 2), 1)
