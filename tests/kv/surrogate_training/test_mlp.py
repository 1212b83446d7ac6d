"""The MLP: what a linear surrogate cannot learn, rows from files, and epochs that go on to the same weights."""

import numpy as np
import pytest
import torch

from keepmap.kv.surrogate import SurrogateConfig
from keepmap.kv.surrogate_training.linear import Sums, fit_linear
from keepmap.kv.surrogate_training.mlp import MlpTraining, Rows
from keepmap.kv.surrogate_training.quality import explained_variance, judge_text
from keepmap.kv.surrogate_training.targets import ScoredPositions

CPU = torch.device("cpu")


def bent(n: int, seed: int) -> ScoredPositions:
    inputs = torch.randn(n, 2, 6, generator=torch.Generator().manual_seed(seed)) + 1
    return ScoredPositions(inputs, inputs[..., :3].abs() - 7)


@pytest.fixture
def files(tmp_path):
    for text in range(5):
        Rows.save(tmp_path, text, bent(600 + text, text))
    return Rows(tmp_path, range(5))


def test_rows_come_back_from_their_files(files, tmp_path):
    assert len(files) == 3010 and Rows.has(tmp_path, 4) and not Rows.has(tmp_path, 5)
    wanted = bent(601, 1)
    batch = files.batch(np.array([1200, 600, 5]))
    assert torch.equal(batch.inputs[1:], wanted.inputs[[0, 600]])
    assert torch.equal(batch.scores[1:], wanted.scores[[0, 600]])
    assert torch.equal(batch.inputs[0], bent(600, 0).inputs[5])
    every = torch.cat([bent(600 + text, text).scores for text in range(5)])
    np.testing.assert_allclose(files.mean(), every.double().mean(dim=0).numpy())
    assert not list(tmp_path.glob(".*"))


def test_it_learns_what_is_bent(files):
    training = MlpTraining(SurrogateConfig(6, 3, 2, 64), files, 60, 0, CPU)
    test = bent(1000, 9)
    while training.epoch < 60:
        training.step_epoch()
    surrogate = training.finished()
    assert explained_variance([judge_text(surrogate, test)]).min() > 0.95
    sums = Sums(2, 6, 3, CPU)
    sums.add(bent(3000, 1))
    assert explained_variance([judge_text(fit_linear(sums), test)]).max() < 0.9
    assert not any(parameter.requires_grad for parameter in surrogate.parameters())


def test_it_goes_on_to_the_same_weights(files):
    config = SurrogateConfig(6, 3, 2, 8)
    whole, begun, again = (MlpTraining(config, files, 3, 0, CPU) for _ in range(3))
    begun.step_epoch()
    again.load({name: value.clone() for name, value in begun.tensors().items()})
    assert again.epoch == 1
    for training in (whole, again):
        while training.epoch < 3:
            training.step_epoch()
    assert all(torch.equal(value, again.tensors()[name]) for name, value in whole.tensors().items())
    other = MlpTraining(config, files, 3, 1, CPU)
    assert not torch.equal(other.tensors()["layers.0.0.weight"], begun.tensors()["layers.0.0.weight"])


def test_the_random_state_of_the_caller_is_left_alone(files):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    MlpTraining(SurrogateConfig(6, 3, 2, 8), files, 1, 0, CPU).step_epoch()
    assert torch.equal(torch.rand(3), wanted)
