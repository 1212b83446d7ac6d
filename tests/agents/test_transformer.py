"""The agent's transformer: three ways to attend that agree, and who sees what."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from keepmap.agents import kernels
from keepmap.agents.history import History
from keepmap.agents.transformer import DecisionShape, DecisionTransformer
from keepmap.errors import ModelError

SHAPE = DecisionShape(observation_sizes=(5, 5), n_actions=5, n_embd=16, n_layer=3, n_head=2, n_inner=32)
AGREE = 1e-5


@pytest.fixture(scope="module")
def model() -> DecisionTransformer:
    torch.manual_seed(0)
    return DecisionTransformer(SHAPE).eval()


def history(batch: int, n: int, seed: int = 0) -> History:
    draw = torch.Generator().manual_seed(seed)
    states, next_states = (torch.randint(0, 5, (batch, n, 2), generator=draw) for _ in range(2))
    return History(
        states=states,
        actions=torch.randint(0, 5, (batch, n), generator=draw),
        rewards=torch.randint(0, 2, (batch, n), generator=draw).float(),
        next_states=next_states,
        times=torch.arange(n).expand(batch, n),
        valid=torch.ones(batch, n, dtype=torch.bool),
    )


def every_step(model: DecisionTransformer, whole: History, fused: bool = True) -> Tensor:
    return model(whole.states, whole.actions, whole.rewards, whole.next_states, fused, whole.dones)


def decided(model: DecisionTransformer, whole: History, at: int) -> Tensor:
    """The logits at one step, from an explicit softmax over what came before it."""
    now = torch.full((len(whole.valid),), at)
    return model.query_logits(whole.map(lambda part: part[:, :at]), whole.states[:, at], now, see=lambda weights: None)


@settings(max_examples=12)
@given(st.integers(1, 3), st.integers(1, 24))
def test_every_step_equals_a_pass_for_that_step_alone(batch: int, n: int) -> None:
    torch.manual_seed(1)
    model = DecisionTransformer(SHAPE).eval()
    steps = history(batch, n, seed=n)
    with torch.no_grad():
        for fused in (True, False):
            together = every_step(model, steps, fused)
            alone = torch.stack([decided(model, steps, at) for at in range(n)], dim=1)
            assert (together - alone).abs().max() < AGREE


def test_what_is_not_valid_is_not_looked_at(model: DecisionTransformer) -> None:
    valid = torch.tensor([[1, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    whole = replace(history(2, 6), valid=valid)
    query, now = torch.tensor([[1, 2], [3, 4]]), torch.tensor([6, 6])
    damaged = replace(
        whole,
        states=whole.states.masked_fill(~valid[..., None], -1),
        actions=whole.actions.masked_fill(~valid, -1),
        rewards=whole.rewards.masked_fill(~valid, -1.0),
        next_states=whole.next_states.masked_fill(~valid[..., None], -1),
        times=whole.times.masked_fill(~valid, -1),
    )
    with torch.no_grad():
        full = model.query_logits(whole, query, now)
        alone = model.query_logits(whole.map(lambda part: part[:1, valid[0]]), query[:1], now[:1])
        other = model.query_logits(damaged, query, now)
    assert (full[0] - alone[0]).abs().max() < AGREE
    assert (full - other).abs().max() == 0


def test_only_ages_matter_and_they_do_matter(model: DecisionTransformer) -> None:
    whole, query = history(1, 4), torch.tensor([[2, 2]])

    def at(times: list[int], now: int) -> Tensor:
        with torch.no_grad():
            return model.query_logits(replace(whole, times=torch.tensor([times])), query, torch.tensor([now]))

    assert (at([0, 1, 2, 3], 4) - at([70, 71, 72, 73], 74)).abs().max() < AGREE
    assert (at([0, 1, 2, 3], 4) - at([0, 1, 2, 3], 9)).abs().max() > 1e-4


def test_some_steps_are_every_steps_rows(model: DecisionTransformer) -> None:
    steps = history(2, 12)
    chosen = torch.tensor([[0, 5, 11], [3, 3, 8]])
    queries = steps.states.gather(1, chosen[..., None].expand(-1, -1, 2))
    transitions = model.transition_tokens(steps.states, steps.actions, steps.rewards, steps.next_states)
    tokens = torch.cat([transitions, model.query_tokens(queries)], dim=1)
    times = torch.cat([torch.arange(12).expand(2, 12), chosen], dim=1)
    seen: list[Tensor] = []
    with torch.no_grad():
        result = model.answers(tokens, model.turns(times), kernels.some_steps(chosen, seen.append), 3)
        wanted = every_step(model, steps)
    assert (result - wanted.gather(1, chosen[..., None].expand(-1, -1, 5))).abs().max() < AGREE
    assert len(seen) == SHAPE.n_layer
    for weights in seen:
        assert weights.sum(-1).allclose(torch.ones(2, 2, 3))
        assert weights[0, :, 1, 5:12].abs().max() == 0


def test_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(0)
    for options in ({"dropout": 0.5}, {"attn_dropout": 0.5}):
        model = DecisionTransformer(
            DecisionShape(observation_sizes=(5, 5), n_actions=5, n_embd=16, n_layer=2, n_head=2, n_inner=32, **options)
        )
        steps = history(1, 8)
        with torch.no_grad():
            assert (every_step(model, steps) - every_step(model, steps)).abs().max() > 1e-3
            model.eval()
            assert (every_step(model, steps) - every_step(model, steps)).abs().max() == 0


def test_where_episodes_end_matters_to_a_model_that_is_told() -> None:
    torch.manual_seed(0)
    steps = history(1, 6)
    dones = torch.tensor([[0, 0, 1, 0, 0, 1]], dtype=torch.bool)
    with_ends = DecisionTransformer(replace(SHAPE, dones=True)).eval()
    with torch.no_grad():
        ends, none = (every_step(with_ends, replace(steps, dones=part)) for part in (dones, torch.zeros_like(dones)))
        assert (ends - none).abs()[:, 3:].max() > 1e-4
        assert (ends - none).abs()[:, :3].max() == 0
        alone = decided(with_ends, replace(steps, dones=dones), 5)
        assert (alone - ends[:, 5]).abs().max() < AGREE
    with pytest.raises(ModelError, match="give the history's dones"):
        every_step(with_ends, steps)
