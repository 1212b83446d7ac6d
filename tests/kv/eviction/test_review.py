"""Decisions by scores that are made anew: who is seen when, what is refused, and that nothing is N x N."""

import math

import pytest
import torch

from keepmap.errors import ImpossibleResultError, InputError
from keepmap.kv.choosing import Budget, Protection, Threshold
from keepmap.kv.eviction.review import review, sight_of
from keepmap.kv.method import HeldInput, Reviewed
from tests.kv.eviction.calls import layer_call


class Watched(Reviewed):
    """Keeps what `worth` says, and notes what it was shown."""

    name, label, needs = "watched", "Watched", "window"

    def __init__(self, worth, observes: int = 2) -> None:
        self.worth, self.shown = worth, []
        self._observes = observes

    @property
    def observes(self) -> int:
        return self._observes

    def score(self, held: HeldInput) -> torch.Tensor:
        self.shown.append(held)
        return self.worth(held)


def position(held: HeldInput) -> torch.Tensor:
    return held.positions.double()


def reviewed(method: Reviewed, rule=None, window: int = 2, chunk_size: int = 1):
    return review(layer_call(), method, rule or Budget(count=3), Protection(1, window), chunk_size, None, seed=4)


def test_the_newest_stay_and_each_review_sees_what_is_held_then() -> None:
    method = Watched(position)
    choice, scores = reviewed(method)
    assert choice.held[0].nonzero().flatten().tolist() == [0, 25, 26, 27, 28, 29]
    assert choice.expires[0, 1:25].tolist() == list(range(7, 31))
    assert scores[0].tolist() == list(range(30))
    call = layer_call()
    for held in method.shown:
        assert held.positions[0].tolist() == [0, *range(held.step - 5, held.step + 1)]
        assert held.observers.tolist() == [held.step - 1, held.step] and held.seed == 4
        assert torch.equal(held.queries, call.queries[:, held.step - 1 : held.step + 1])
        assert torch.equal(held.keys[1], call.keys[1, held.positions[1]])
        assert torch.equal(held.values[1], call.values[1, held.positions[1]])
    assert [held.step for held in method.shown] == list(range(6, 30)), "no review where nothing goes"


def test_scores_are_compared_as_they_are_at_the_step() -> None:
    # Even positions are worth more until query 20, odd ones from then on.
    choice, _ = reviewed(Watched(lambda held: ((held.positions + (held.step >= 20)) % 2 == 0).double()))
    at_20, at_the_end = choice.expires[0] > 20, choice.held[0]
    assert at_20[1:18].nonzero().flatten().add(1).tolist() == [12, 14, 16]
    assert at_the_end[1:28].nonzero().flatten().add(1).tolist() == [23, 25, 27]


def test_under_a_threshold_heads_differ_and_what_is_missing_is_marked() -> None:
    def worth(held: HeldInput) -> torch.Tensor:
        thirds = held.positions % 3 == 0
        return torch.stack([thirds[0], ~thirds[1]]).double()

    method = Watched(worth)
    choice, scores = reviewed(method, Threshold(0.5))
    assert choice.held[0].nonzero().flatten().tolist() == [0, *range(3, 28, 3), 28, 29]
    last = method.shown[-1]
    assert last.is_held.sum(dim=1).tolist() == [12, 22] and (last.positions[0, 12:] == -1).all()
    assert not last.keys[0, 12:].any() and not last.values[0, 12:].any() and not last.attention[:2, :, 12:].any()
    assert set(scores.unique().tolist()) == {0.0, 1.0}


def test_in_chunks_a_review_falls_at_the_end_of_each() -> None:
    method = Watched(position, observes=5)
    choice, _ = reviewed(method, chunk_size=8)
    assert [held.step for held in method.shown] == [7, 15, 23, 29]
    assert set(choice.expires[0].tolist()) == {8, 16, 24, 30}
    assert [held.queries.shape[1] for held in method.shown] == [5] * 4


def test_a_text_that_is_shorter_than_what_is_observed() -> None:
    method = Watched(position, observes=99)
    reviewed(method)
    assert [held.queries.shape[1] for held in method.shown] == [held.step + 1 for held in method.shown]


def test_of_a_score_that_is_no_number_the_method_is_named() -> None:
    with pytest.raises(ImpossibleResultError, match="score of the method watched is NaN in layer 0"):
        reviewed(Watched(lambda held: position(held) * math.nan))
    with pytest.raises(InputError, match=r"of one number for each KV head and entry that is held, \(2, 7\), got"):
        reviewed(Watched(lambda held: position(held)[:1]))
    with pytest.raises(InputError, match="got torch.int64"):
        reviewed(Watched(lambda held: held.positions))


def test_queries_follow_earlier_ones_and_no_more_are_kept_than_observe() -> None:
    call = layer_call()
    earlier = sight_of(call, None).last(4)
    assert earlier.step == 29 and torch.equal(earlier.queries, call.queries[:, 26:])
    both = sight_of(call, None, earlier)
    assert both.step == 59 and torch.equal(both.queries[:, :4], earlier.queries) and both.queries.shape[1] == 34
    assert earlier.nbytes == 4 * 4 * 6 * 8 + 4 * 8
    assert both.last(99).queries.shape[1] == 34 and both.last(0).queries.shape[1] == 0
