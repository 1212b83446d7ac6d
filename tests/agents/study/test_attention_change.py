"""How attention changes under a compressor."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressors.attention_based import AttentionBasedCompressor
from keepmap.agents.compressors.random import RandomCompressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.history import History, shorten
from keepmap.agents.study.attention_change import COPIES, attention_change, moments
from tests.agents.checkpoint_folders import write_agent


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return load_agent(write_agent(tmp_path_factory.mktemp("run"), split="0/3"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return load_agent(write_agent(tmp_path_factory.mktemp("run"), split="0/3", weights_seed=1))


def test_the_quarters_of_a_history_are_compared(agent: Agent) -> None:
    seen = moments(agent)
    ratios = []
    for moment in seen:
        weights, n = agent.attention(moment.history, moment.query_states).double(), moment.history.valid.shape[1]
        ratios.append(weights[:, -(n // 4) :].mean(1) / weights[:, : n // 4].mean(1))
    expected = torch.stack(ratios).unflatten(1, (3, COPIES)).mean((0, 2)).numpy()
    np.testing.assert_allclose(attention_change(agent, agent, None, seen).recent_distant, expected, rtol=1e-5)


def test_the_moments_are_fixed_and_of_held_out_goals(agent: Agent) -> None:
    seen, again = moments(agent), moments(agent)
    assert [moment.history.valid.shape for moment in seen] == [(COPIES * 3, n) for n in (9, 12, 12, 12)]
    for context, same in zip(seen, again, strict=True):
        assert torch.equal(context.history.states, same.history.states) and torch.equal(
            context.query_states, same.query_states
        )
        assert torch.equal(context.now, context.history.times[:, -1] + 1)
        assert not context.history.rewards.bool().any(1).all(), "goals differ between rows"
    for row, goal in enumerate(goal for goal in agent.held_out for _ in range(COPIES)):
        led = seen[2].history.next_states[row][seen[2].history.rewards[row] > 0]
        assert all(tuple(cell) == goal for cell in led.tolist())


def test_the_same_agent_with_all_of_its_history_has_not_changed(agent: Agent) -> None:
    same = attention_change(agent, agent, None, moments(agent))
    np.testing.assert_allclose(same.distance, 0, atol=1e-9)
    np.testing.assert_array_equal(same.entropy, same.baseline_entropy)
    assert ((same.entropy > 0) & (same.entropy < 1)).all()
    all_kept = attention_change(agent, agent, RecencyCompressor(12), moments(agent))
    np.testing.assert_allclose(all_kept.distance, 0, atol=1e-6)


def test_the_distance_is_that_of_two_attentions_over_what_is_kept(agent: Agent, other: Agent) -> None:
    compressor = RandomCompressor(4)
    seen = moments(agent)
    change = attention_change(other, agent, compressor, seen)
    by_row = []
    for moment in seen:
        kept = compressor.select(moment.history)
        before = agent.attention(moment.history, moment.query_states).gather(1, kept.indices).double()
        short = shorten(moment.history, kept)
        # A transition that is not there keeps the query's time, where the newest was dropped.
        names = ("states", "actions", "rewards", "next_states", "times")
        pad = History(
            **{name: torch.cat([getattr(short, name), getattr(moment.history, name)[:, -1:]], 1) for name in names},
            valid=torch.cat([short.valid, torch.zeros_like(short.valid[:, :1])], 1),
        )
        pad.times[:, -1] = moment.now - 1
        from keepmap.agents.acting.rollout import decide

        weights = []
        with torch.no_grad():
            decide(other.model, pad, moment.query_states, moment.now, lambda w, weights=weights: weights.append(w))
        now = torch.stack([w[:, :, -1, :4].mean(1) for w in weights]).mean(0).double()
        p, q = now / now.sum(1, keepdim=True), before / before.sum(1, keepdim=True)
        by_row.append((p - q).abs().sum(1) / 2)
    expected = torch.stack(by_row).unflatten(1, (3, COPIES)).mean((0, 2)).numpy()
    np.testing.assert_allclose(change.distance, expected, atol=1e-5)
    assert (change.distance > 0.01).all()


def test_one_kept_transition_has_no_entropy(agent: Agent) -> None:
    change = attention_change(agent, agent, RecencyCompressor(1), moments(agent))
    assert np.isnan(change.entropy).all() and np.isnan(change.baseline_entropy).all()
    np.testing.assert_allclose(change.distance, 0)
    assert (change.recent_distant > 0).all() and (change.nats > 0).all()


def test_attention_of_the_agent_itself_decides(agent: Agent, other: Agent) -> None:
    compressor = AttentionBasedCompressor(3)
    mine = attention_change(agent, agent, compressor, moments(agent))
    theirs = attention_change(other, agent, compressor, moments(agent))
    assert (mine.baseline_entropy != theirs.baseline_entropy).any()
    assert replace(compressor).needs_attention
