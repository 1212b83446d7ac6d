"""The linear surrogate against a least squares over all rows, whatever the number of pieces that they come in."""

import pytest
import torch

from keepmap.kv.surrogate_training.linear import PENALTY, Sums, fit_linear
from keepmap.kv.surrogate_training.targets import ScoredPositions
from tests.reference.surrogates import ridge


def rows(n: int = 400, spread: float = 1.0) -> ScoredPositions:
    """Inputs that are far from centred, as those of real layers are."""
    generator = torch.Generator().manual_seed(n)
    inputs = spread * torch.randn(n, 2, 6, generator=generator) + 10 * torch.arange(6)
    scores = inputs @ torch.randn(6, 3, generator=generator) - 7 + torch.randn(n, 2, 3, generator=generator)
    return ScoredPositions(inputs, scores)


@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_it_is_the_least_squares_of_all_rows(spread):
    positions = rows(spread=spread)
    sums = Sums(2, 6, 3, torch.device("cpu"))
    for part in torch.arange(400).split(90):
        sums.add(ScoredPositions(positions.inputs[part], positions.scores[part]))
    surrogate = fit_linear(sums)
    for layer, linear in enumerate(surrogate.layers):
        weight, bias = ridge(positions.inputs[:, layer], positions.scores[:, layer], PENALTY)
        torch.testing.assert_close(linear.weight.double(), weight, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(linear.bias.double(), bias, atol=1e-4, rtol=1e-5)
    assert not any(parameter.requires_grad for parameter in surrogate.parameters())


def test_sums_that_were_saved_go_on():
    first, second = rows(50), rows(70)
    whole, begun, again = (Sums(2, 6, 3, torch.device("cpu")) for _ in range(3))
    for part in (first, second):
        whole.add(part)
    begun.add(first)
    again.load(begun.tensors)
    again.add(second)
    assert all(torch.equal(value, again.tensors[name]) for name, value in whole.tensors.items())
