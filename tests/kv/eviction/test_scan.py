"""Decisions by received attention, step by step against loops over the whole matrix."""

import pytest
import torch

from keepmap.errors import ImpossibleResultError
from keepmap.kv.choosing import Budget, Protection, Threshold
from keepmap.kv.eviction.scan import scan
from keepmap.kv.methods.h2o import H2O
from keepmap.kv.methods.observed_attention import ObservedAttention
from tests.kv.eviction.calls import layer_call, sees
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


@pytest.mark.parametrize("method", [H2O(), ObservedAttention()], ids=["h2o", "observed"])
@pytest.mark.parametrize("chunk", [1, 7])
@pytest.mark.parametrize("options", [{}, {"own_window": 9, "with_sinks": True}, {"softcap": 1.0}], ids=str)
@pytest.mark.parametrize("rule", [Budget(density=0.4), Budget(count=3), Threshold(0.3)], ids=str)
def test_equals_the_obvious_loop(method, chunk, options, rule):
    call = layer_call(36, **options)
    result, scores = scan(call, method, rule, Protection(2, 5), chunk)
    plain = {"threshold": rule.threshold} if isinstance(rule, Threshold) else {"density": rule.density}
    if isinstance(rule, Budget) and rule.count is not None:
        plain = {"budget": rule.count}
    expires, held = obvious(call, method, Rule(**plain, n_sink=2, window=5), chunk)
    assert torch.equal(result.expires, expires) and torch.equal(result.held, held)
    assert 0 < int(held.sum()) < held.numel()
    if isinstance(rule, Threshold):
        decided = scores[:, 2:31]
        assert torch.equal(decided < rule.threshold, ~held[:, 2:31])


def test_a_score_that_is_nan_is_impossible():
    call = layer_call()
    call.keys[1, 4] = torch.nan
    with pytest.raises(ImpossibleResultError, match="NaN"):
        scan(call, H2O(), Threshold(0.1), Protection(0, 2), 1)
