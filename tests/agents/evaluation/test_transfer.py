"""Trained with one, run with another: each cell is the evaluation of that pair."""

from dataclasses import replace

import numpy as np
import pytest

import keepmap
from keepmap.agents.acting.agent import Agent
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.evaluation.returns import Evaluation
from keepmap.errors import InputError


@pytest.fixture(scope="module")
def two() -> list[Agent]:
    whole = keepmap.load_agent("tiny")
    trained_with = {"name": "recency", "keep_recent": 12}
    return [whole, replace(whole, name="other", config=replace(whole.config, compressor=trained_with))]


def test_a_cell_is_the_evaluation_of_its_pair(two: list[Agent]) -> None:
    shares: list[float] = []
    matrix = keepmap.transfer(two, episodes=5, seed=3, progress=shares.append)
    assert matrix.trained == matrix.acting == ("none", "recency, at most 12")
    for row, agent in enumerate(two):
        for column, compressor in enumerate((None, RecencyCompressor(12))):
            earned = keepmap.evaluate(agent, episodes=5, seed=3, compressor=compressor).normalised
            assert earned is not None and earned.end == matrix.episodes and matrix.goals == len(agent.held_out)
            values = (matrix.mean[row, column], matrix.low[row, column], matrix.high[row, column])
            assert values == (earned.mean, earned.low, earned.high)
    assert np.array_equal(matrix.mean[0], matrix.mean[1]), "the weights of both are the same"
    assert matrix.mean[0, 0] != matrix.mean[0, 1]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert [(row["trained_with"], row["run_with"]) for row in matrix.rows] == [
        (trained, acting) for trained in matrix.trained for acting in matrix.acting
    ]
    assert "rows: trained with, columns: run with" in repr(matrix) and f"{matrix.mean[1, 1]:.2f}" in repr(matrix)


def test_equal_compressors_are_one_column(two: list[Agent]) -> None:
    matrix = keepmap.transfer(two[:1], ["none", None, "recency", RecencyCompressor(10)], episodes=1)
    assert matrix.acting == ("none", "recency, at most 10")


def test_agents_of_other_splits_are_refused(two: list[Agent]) -> None:
    other = replace(two[1], held_out=two[1].held_out[:2])
    with pytest.raises(InputError, match="tiny and other have other rooms or held-out goals; give agents of one split"):
        keepmap.transfer([two[0], other], episodes=1)
    with pytest.raises(InputError, match="expected `compressors` to be one or more, got none"):
        keepmap.transfer(two, [], episodes=1)


def test_where_nothing_can_be_earned_is_said(two: list[Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Evaluation, "normalised", property(lambda self: None))
    with pytest.raises(InputError, match="nothing can be earned at the end of 2 episodes"):
        keepmap.transfer(two[:1], episodes=2)
