"""NLL, KL and agreement per token, by hand."""

import math

import pytest
import torch

from keepmap.core.metrics import Predicted, divergence, negative_log_likelihood, top1_agreement


def test_a_word_that_neither_model_allows_adds_nothing():
    full = torch.tensor([[0.0, 1.0, -torch.inf]])
    evicted = torch.tensor([[1.0, 0.0, -torch.inf]])
    p, q = full[0, :2].double().softmax(0), evicted[0, :2].double().softmax(0)
    assert divergence(full, evicted).item() == pytest.approx(float((p * (p / q).log()).sum()))


def test_a_metric_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    targets = torch.tensor([1, 0])
    assert negative_log_likelihood(logits, targets).tolist() == pytest.approx([-math.log(0.75), math.log(2)])
    assert top1_agreement(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).tolist() == [False, True]
    assert divergence(logits[1:], logits[:1]).item() == pytest.approx(
        0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    )


@pytest.mark.parametrize("masked", [False, True])
def test_a_reference_against_itself_is_what_its_own_logits_are_against_it(masked):
    logits = 4 * torch.randn(7, 50, generator=torch.Generator().manual_seed(1))
    targets = torch.arange(7)
    if masked:
        logits[:, 20:25] = -torch.inf
    reference = Predicted.of(logits)
    for own, other in zip(reference.against_itself(targets), reference.against(logits, targets), strict=True):
        assert torch.equal(own, other)
    damaged = Predicted.of(logits.index_fill(0, torch.tensor(3), torch.nan))
    assert damaged.against_itself(targets)[0].isnan().tolist() == [row == 3 for row in range(7)]
    assert damaged.against_itself(targets)[1].isnan().tolist() == [row == 3 for row in range(7)]
