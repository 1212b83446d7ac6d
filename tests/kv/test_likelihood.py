"""NLL, KL and agreement in blocks against the obvious computation from all logits."""

import math

import pytest
import torch

from keepmap.errors import ImpossibleResultError
from keepmap.kv import likelihood
from keepmap.kv.likelihood import blocks, measure_likelihood, measure_likelihoods

WEIGHT = torch.randn(11, 6, generator=torch.Generator().manual_seed(1))


def head(hidden: torch.Tensor) -> torch.Tensor:
    return hidden @ WEIGHT.T


def draw(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("at_once", [1, 11, 30, 10_000])
def test_blocks_give_what_all_logits_give(monkeypatch, at_once):
    monkeypatch.setattr(likelihood, "LOGITS_AT_ONCE", at_once)
    n = 17
    ids = torch.randint(0, 11, (n,), generator=torch.Generator().manual_seed(3))
    hidden = draw(n, 4)
    full = hidden + 0.5 * draw(n, 5)
    result = measure_likelihood(head, 11, ids, hidden, full, "a test")
    p = head(full)[:-1].double().softmax(1)
    q = head(hidden)[:-1].double().softmax(1)
    assert result.n_predicted == n - 1
    assert result.nll == pytest.approx(float(-q[torch.arange(n - 1), ids[1:]].log().sum()), rel=1e-7)
    assert result.kl == pytest.approx(float((p * (p / q).log()).sum()), rel=1e-6)
    assert result.n_agreed == int((p.argmax(1) == q.argmax(1)).sum())
    assert 0 < result.n_agreed < n - 1
    assert result.token_nll.tolist() == pytest.approx((-q[torch.arange(n - 1), ids[1:]].log()).tolist(), rel=1e-5)
    assert result.token_kl.tolist() == pytest.approx((p * (p / q).log()).sum(1).tolist(), rel=1e-4)


def test_against_itself_nothing_differs():
    hidden = draw(9, 0)
    result = measure_likelihood(head, 11, torch.arange(9), hidden, hidden.clone(), "a test")
    assert (result.kl, result.n_agreed) == (0.0, 8)


def test_a_pass_under_two_names_is_measured_once_and_passes_are_measured_as_alone():
    full, other = draw(9, 0), draw(9, 1)
    rows = []

    def counting(hidden: torch.Tensor) -> torch.Tensor:
        rows.append(len(hidden))
        return head(hidden)

    states = {"dense": full, "baseline": full, "evicted": other, "again": other}
    results = measure_likelihoods(counting, 11, torch.arange(9), states, full)
    assert list(results) == [*states] and rows == [8, 8]
    assert results["dense"] == results["baseline"] == measure_likelihood(head, 11, torch.arange(9), full, full, "")
    assert results["evicted"] == results["again"] == measure_likelihood(head, 11, torch.arange(9), other, full, "")


def test_the_last_token_is_read_and_not_predicted_from():
    hidden = draw(5, 0)
    other = torch.cat([hidden[:-1], torch.full((1, 6), torch.nan)])
    assert measure_likelihood(head, 11, torch.arange(5), other, hidden, "") == measure_likelihood(
        head, 11, torch.arange(5), hidden, hidden, ""
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_names_method_and_sample(bad):
    hidden = draw(6, 0)
    hidden[2, 0] = bad
    with pytest.raises(ImpossibleResultError, match="of kvzap on sample 3 .* at token 3"):
        measure_likelihood(head, 11, torch.arange(6), hidden, draw(6, 0), "kvzap on sample 3")


def test_blocks_cover_every_row_once():
    assert [(block.start, block.stop) for block in blocks(5, likelihood.LOGITS_AT_ONCE // 2)] == [
        (0, 2),
        (2, 4),
        (4, 5),
    ]
    assert [(block.start, block.stop) for block in blocks(2, 10 * likelihood.LOGITS_AT_ONCE)] == [(0, 1), (1, 2)]
    assert list(blocks(0, 10)) == []


def test_the_tokens_after_a_context_alone():
    hidden, full, ids = draw(9, 0), draw(9, 1), torch.arange(9)
    result = measure_likelihood(head, 11, ids, hidden, full, "a test", 4)
    # The last query of the context predicts the first token after it.
    assert result == measure_likelihood(head, 11, ids[3:], hidden[3:], full[3:], "a test") and result.n_predicted == 5
    hidden[6] = torch.nan
    with pytest.raises(ImpossibleResultError, match="at token 7"):
        measure_likelihood(head, 11, ids, hidden, full, "a test", 4)
