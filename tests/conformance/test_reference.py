"""The reference itself: without eviction it is the model, and its rules give what one works out by hand."""

import math

import pytest
import torch

from tests.families import FAMILIES, build, tokens
from tests.reference import scores
from tests.reference.decode import decode
from tests.reference.rules import Rule, choose_slowly


@pytest.mark.parametrize("chunk_size", [1, 7])
@pytest.mark.parametrize("family", FAMILIES)
def test_without_eviction_it_is_the_model_itself(family, chunk_size):
    model = build(family)
    with torch.no_grad():
        expected = model(tokens(60)[None], use_cache=False).logits[0]
    result = decode(model, tokens(60), scores.streaming_llm, Rule(threshold=-math.inf), chunk_size, growing=False)
    # Families whose own attention is eager round their softmax to float32.
    torch.testing.assert_close(result.logits, expected, rtol=0, atol=3e-6)
    assert result.held.all() and (result.expires == 60).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_models_are_worth_testing(family):
    """Attention is neither uniform nor on one position, and the logits vary."""
    model = build(family)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(tokens(100)[None], use_cache=False, output_attentions=True)
    for attention in output.attentions:
        last = attention[0, :, 50:].double()
        entropy = -(last * last.clamp(min=1e-30).log()).sum(-1).mean() / math.log(75)
        assert 0.15 < entropy < 0.9
    assert output.logits.std() > 0.5


def rows(*values):
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize(
    ("rule", "chunk_size", "expires", "held"),
    [
        # Scores 5 1 4 1 3 9; a threshold of 3 drops the two ones, each after the query `window` behind it.
        (Rule(threshold=3.0, n_sink=0, window=0), 1, [6, 2, 6, 4, 6, 6], [1, 0, 1, 0, 1, 1]),
        (Rule(threshold=3.0, n_sink=0, window=1), 1, [6, 3, 6, 5, 6, 6], [1, 0, 1, 0, 1, 1]),
        (Rule(threshold=3.0, n_sink=2, window=2), 1, [6, 6, 6, 6, 6, 6], [1, 1, 1, 0, 1, 1]),
        (Rule(threshold=3.0, n_sink=0, window=0), 4, [6, 4, 6, 4, 6, 6], [1, 0, 1, 0, 1, 1]),
        # The two best stay; what goes after the last query was seen by all. A third is 1 of 3 and 2 of 6.
        (Rule(budget=2, n_sink=0, window=0), 1, [6, 3, 6, 4, 5, 6], [1, 0, 0, 0, 0, 1]),
        (Rule(density=1 / 3, n_sink=0, window=0), 3, [6, 3, 3, 6, 6, 6], [1, 0, 0, 0, 0, 1]),
    ],
)
def test_rules_by_hand(rule, chunk_size, expires, held):
    result = choose_slowly(rows(5, 1, 4, 1, 3, 9), rule, chunk_size)
    assert result[0].tolist() == [expires]
    assert result[1].int().tolist() == [held]
