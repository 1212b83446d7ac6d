"""What the test by deletion keeps: of each KV head by its own query heads, as many at random, and what always stays."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from keepmap.agents.acting.context import as_context, context_at, landmarks_of
from keepmap.agents.collection.dataset import Streams
from keepmap.agents.history import History
from keepmap.attention.profiling import profile_attention
from keepmap.errors import InputError
from keepmap.insight.deletions import at_random, by_pattern, by_share
from keepmap.insight.guide import guide_insight
from keepmap.insight.verify_texts import N_SINK, _Text
from keepmap.language_model import load_language_model
from tests.families import build, tokens

N, HALF = 48, 24


def chosen(received: list[dict[int, float]], rule: str = "ours", n_sink: int = N_SINK) -> tuple[Tensor, Tensor]:
    """What is kept and what stays in a model of 4 query heads and 2 KV heads, of heads that attend to these."""
    language_model = load_language_model(build("llama"))
    profile = profile_attention(language_model, tokens(HALF), n_sink=n_sink, hold=False)
    weights = torch.full_like(profile.received, 1e-7)
    for head, places in enumerate(received):
        for place, weight in places.items():
            weights[:, head, place] = weight
    profile = dataclasses.replace(profile, received=weights, rows=weights[:, :, None].clone())
    sparse = {"recent_distant_ratio": 1.5, "entropy": 1.0}
    guides = [guide_insight([sparse], of=2)] * 2
    text = _Text(language_model, tokens(N), profile, 0, guides, 0.7, 1, 0)
    _, kept, stays = text._chosen(1, rule)
    return kept, stays


def places(kept: Tensor) -> list[list[int]]:
    return [row.nonzero()[:, 0].tolist() for row in kept]


def test_a_kv_head_keeps_what_its_own_query_heads_attend_to() -> None:
    kept, stays = chosen([{6: 1.0}, {7: 1.0}, {12: 1.0}, {13: 1.0}])
    assert places(kept) == [[6, 7], [12, 13]]
    assert places(stays[None]) == [[0, 1, 2, 3, 23]]


def test_the_guides_rule_is_one_for_the_layer() -> None:
    kept, _ = chosen([{6: 1.0}, {7: 0.9}, {12: 0.8}, {13: 0.7}], rule="guide")
    assert places(kept) == [[6, 7], [6, 7]]


def test_attention_to_sinks_counts_as_kept() -> None:
    kept, _ = chosen([{2: 0.65, 6: 0.2, 9: 0.15}] * 2 + [{2: 0.9, 6: 0.1}] * 2)
    assert places(kept) == [[6], []]


def test_random_keeps_as_many_of_each_head_of_all_that_may_go() -> None:
    stays = torch.tensor([1, 0, 0, 0, 0, 0, 0, 1], dtype=torch.bool)
    kept = torch.zeros(3, 8, dtype=torch.bool)
    kept[1, 2:4] = kept[2, 1:7] = True
    rng, seen = np.random.default_rng(0), torch.zeros(3, 8)
    for _ in range(60):
        drawn = at_random(kept, stays, rng)
        assert drawn.sum(1).tolist() == [0, 2, 6] and not (drawn & stays).any()
        seen += drawn
    assert (seen[1, 1:7] > 0).all() and len(set(seen[1, 1:7].tolist())) > 1


def test_what_stays_is_never_counted_as_kept() -> None:
    row, stays = torch.tensor([0.3, 0.1, 0.2, 0.4]), torch.tensor([False, False, False, True])
    assert by_pattern("sparse", 2, row, stays).kept.tolist() == [True, False, False, False]
    assert by_pattern("recency", 3, row, stays).kept.tolist() == [False, True, True, False]
    assert by_pattern("sinks", 2, row, stays).kept.tolist() == [False, False, True, False]
    assert not by_pattern("sinks", 0, row, stays).kept.any()
    assert by_share(torch.tensor([0.9, 0.02, 0.02, 0.06]), 0.0, 0.7, stays).kept.tolist() == [True, False, False, False]


def streams() -> Streams:
    """Two learners of 13 steps in episodes of 5; every value says where and when it was."""
    steps = np.arange(13, dtype=np.uint8)
    states = np.stack([np.stack([steps, steps * 0 + learner], 1) for learner in range(2)], 1)
    actions = np.stack([steps % 5, (steps + 1) % 5], 1)
    dones = np.zeros((13, 2), dtype=np.bool_)
    dones[4::5] = True
    return Streams(states, actions, actions % 2, states + 1, dones)


@pytest.mark.parametrize(("step", "times"), [(1, [0]), (4, [0, 1, 2, 3]), (5, [1, 2, 3, 4]), (12, [8, 9, 10, 11])])
def test_a_context_ends_right_before_its_step(step: int, times: list[int]) -> None:
    found = context_at(streams(), 1, step, 4, (0, 0))
    assert found.history.times[0].tolist() == times
    assert found.history.states[0].tolist() == [[time, 1] for time in times]
    assert found.query_states.tolist() == [[step, 1]]
    assert found.action == (step + 1) % 5
    assert bool(found.history.dones[0, -1]) == (step % 5 == 0)
    for wrong in (0, 13):
        with pytest.raises(InputError, match=f"got step {wrong}"):
            context_at(streams(), 1, wrong, 4, (0, 0))


def history(ends: list[bool], start: int = 0) -> History:
    n = len(ends)
    states = torch.zeros(1, n, 2, dtype=torch.int64)
    return History(
        states=states,
        actions=torch.zeros(1, n, dtype=torch.int64),
        rewards=torch.arange(n)[None].float(),
        next_states=states,
        times=torch.arange(start, start + n)[None],
        valid=torch.ones(1, n, dtype=torch.bool),
        dones=torch.tensor([ends], dtype=torch.bool),
    )


@pytest.mark.parametrize(
    ("ends", "start", "episodes", "steps"),
    [
        ([False, False, True, False], 0, (1, 1, 1, 2, 2), (1, 2, 3, 1, 2)),
        ([False, True, False], 4, (2, 2, 3, 3), (2, 3, 1, 2)),
        ([False, True, True, False], 0, (1, 1, 2, 3, 3), (1, 2, 1, 1, 2)),
        ([True, False, False], 1, (1, 2, 2, 2), (1, 1, 2, 3)),
    ],
)
def test_episodes_and_steps_count_from_1_and_go_on_at_the_query(
    ends: list[bool], start: int, episodes: tuple[int, ...], steps: tuple[int, ...]
) -> None:
    found = landmarks_of(as_context(history(ends, start), 3), 3)
    assert (found.episodes, found.steps) == (episodes, steps)
    assert found.rewards == (*map(float, range(len(ends))), None)


def test_a_query_comes_one_step_after_its_history() -> None:
    assert as_context(history([False] * 3, 7), 6).now.tolist() == [10]
    empty = as_context((history([]), torch.tensor([[0, 0]])), 6)
    assert empty.now.tolist() == [0]
    query = torch.tensor([[1, 1]])
    found = landmarks_of(as_context((history([False, True]), query), 2), 2)
    assert (found.episodes, found.steps) == ((1, 1, 2), (1, 2, 1))
