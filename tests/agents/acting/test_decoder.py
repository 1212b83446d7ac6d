"""The weights laid out for acting give what the model's own pass gives, for every shape, and step by step."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from keepmap.agents.acting import decoder as decoding
from keepmap.agents.acting import memory
from keepmap.agents.acting.memory import Cache, Step, Window
from keepmap.agents.acting.rollout import attended, decide
from keepmap.agents.transformer import DecisionShape, DecisionTransformer

AGREE = 1e-5

sizes = st.tuples(
    st.lists(st.integers(2, 6), min_size=1, max_size=3),  # of the coordinates
    st.integers(2, 6),  # actions
    st.integers(1, 4),  # heads
    st.integers(4, 6),  # pairs of channels in each; a norm of two channels makes much of rounding
    st.integers(1, 3),  # layers
    st.integers(1, 40),  # width inside
    st.booleans(),  # dones
)


def drawn_model(shape: DecisionShape, seed: int) -> DecisionTransformer:
    """Every weight is drawn, also those that start at 0 or 1."""
    torch.manual_seed(seed)
    model = DecisionTransformer(shape).eval()
    for name, weight in model.named_parameters():
        if "norm" in name or "before" in name or "bias" in name:
            nn.init.normal_(weight, mean=float("weight" in name), std=0.3)
    return model


def states(shape: DecisionShape, agents: int) -> Tensor:
    return torch.stack([torch.randint(size, (agents,)) for size in shape.observation_sizes], dim=1)


def drawn_step(shape: DecisionShape, agents: int, gaps: bool) -> Step:
    actions, dones = torch.randint(shape.n_actions, (agents,)), torch.rand(agents) < 0.3
    valid = torch.rand(agents) < (0.6 if gaps else 1.0)
    return Step(
        states=states(shape, agents),
        actions=actions,
        rewards=torch.randn(agents),
        next_states=states(shape, agents),
        dones=dones,
        valid=valid,
    )


@settings(max_examples=25, deadline=None)
@given(sizes, st.integers(1, 4), st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 99))
def test_acting_equals_the_models_own_pass(
    drawn: tuple[Any, ...], agents: int, size: int, gaps: bool, groups: bool, seed: int
) -> None:
    coordinates, actions, heads, pairs, layers, inner, dones = drawn
    shape = DecisionShape(
        observation_sizes=tuple(coordinates),
        n_actions=actions,
        n_embd=2 * heads * pairs,
        n_layer=layers,
        n_head=heads,
        n_inner=inner,
        dones=dones,
    )
    model = drawn_model(shape, seed)
    window, cache = Window(agents, len(shape.observation_sizes), size, max(1, size // 3)), Cache(model, agents, size)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(decoding, "ROWS", 2)
        if groups:
            patch.setattr(memory, "TOKENS", 4)
        for _ in range(2 * size + 2):
            query, now = states(shape, agents), window.times_now
            fast, attention = cache.answer(window.history(), query, now, look=True)
            assert attention is not None
            assert (fast - decide(model, window.history(), query, now)).abs().max() < AGREE
            seen = attended(model, window.history(), query)
            assert (attention - seen).abs().le(AGREE).all()
            if window.add(drawn_step(shape, agents, gaps)):
                cache.forget()


def test_a_window_of_many_blocks_equals_the_models_own_pass() -> None:
    shape = DecisionShape(observation_sizes=(9, 9), n_actions=5, n_embd=16, n_layer=2, n_head=2, n_inner=32)
    model, size = drawn_model(shape, 0), 2 * decoding.ROWS + 5
    window, cache = Window(3, 2, size, 1), Cache(model, 3, size)
    for _ in range(size):
        window.add(drawn_step(shape, 3, gaps=True))
    query = states(shape, 3)
    with torch.inference_mode():
        fast, _ = cache.answer(window.history(), query, window.times_now)
        assert (fast - decide(model, window.history(), query, window.times_now)).abs().max() < AGREE
