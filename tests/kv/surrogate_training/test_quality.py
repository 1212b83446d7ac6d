"""The share of the variance that is explained: from its definition, and with an interval that covers."""

import numpy as np
import pytest
import torch

from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig
from keepmap.kv.surrogate_training.quality import (
    PAPER,
    HeldOutText,
    explained_variance,
    explained_with_interval,
    judge_text,
)
from keepmap.kv.surrogate_training.targets import ScoredPositions


def judged(n_texts: int, seed: int, noise: float = 0.5) -> tuple[list[HeldOutText], torch.Tensor, torch.Tensor]:
    """Texts of 3 layers and 2 KV heads with offsets of their own, judged by a surrogate; scores and predictions."""
    generator = torch.Generator().manual_seed(seed)
    surrogate = KVzapSurrogate(SurrogateConfig(4, 2, 3)).requires_grad_(False)
    texts, every, predicted = [], [], []
    for _ in range(n_texts):
        inputs = torch.randn(50, 3, 4, generator=generator)
        exact = surrogate(inputs)
        scores = (
            exact + noise * torch.randn(exact.shape, generator=generator) + 0.1 * torch.randn(1, generator=generator)
        )
        texts.append(judge_text(surrogate, ScoredPositions(inputs, scores)))
        every.append(scores)
        predicted.append(exact)
    return texts, torch.cat(every).double(), torch.cat(predicted).double()


def test_it_is_one_minus_error_over_variance():
    texts, scores, predicted = judged(4, 0)
    expected = 1 - (scores - predicted).square().mean(dim=0) / scores.var(dim=0, correction=0)
    np.testing.assert_allclose(explained_variance(texts), expected.numpy(), rtol=1e-6)
    mean, (low, high) = explained_with_interval(texts)
    assert mean == pytest.approx(float(expected.mean())) and low < mean < high
    assert explained_with_interval(texts[:2])[1] == (None, None)
    assert HeldOutText.of(texts[0].document()) == texts[0]


def test_scores_that_are_all_equal_have_nothing_to_explain():
    surrogate = KVzapSurrogate(SurrogateConfig(4, 2, 1)).requires_grad_(False)
    inputs = torch.randn(20, 1, 4)
    scores = torch.cat([torch.full((20, 1, 1), -20.7), surrogate(inputs)[..., 1:]], dim=2)
    text = judge_text(surrogate, ScoredPositions(inputs, scores))
    explained = explained_variance([text])
    assert np.isnan(explained[0, 0]) and explained[0, 1] == pytest.approx(1)
    assert explained_with_interval([text, text])[0] == pytest.approx(1)


def test_the_interval_covers():
    """Of 100 draws of 10 texts, at least nine tenths have the figure of very many texts inside."""
    torch.manual_seed(0)
    state = torch.get_rng_state()
    truth = float(explained_variance(judged(500, 1)[0]).mean())
    inside = 0
    for draw in range(100):
        torch.set_rng_state(state)  # the same surrogate
        _, (low, high) = explained_with_interval(judged(10, 100 + draw)[0])
        assert low is not None and high is not None
        inside += low <= truth <= high
    assert inside >= 90


def test_the_papers_figures():
    shares = [share for models in PAPER.values() for share in models.values()]
    assert (min(shares), max(shares)) == (0.629, 0.772)
