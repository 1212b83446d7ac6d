"""The losses: no action is predicted with a look at itself, and a compressor sees the history and nothing more."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.acting.rollout import attended
from keepmap.agents.compressor import Compressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.history import History
from keepmap.agents.training.loss import shortened
from keepmap.agents.training.windows import WindowBatch
from keepmap.agents.transformer import DecisionShape, DecisionTransformer

N, SIZE, LABELS = 9, 3, 5


def batch(seed: int = 0) -> WindowBatch:
    draw = torch.Generator().manual_seed(seed)
    states, after = (torch.randint(0, 5, (SIZE, N, 2), generator=draw) for _ in range(2))
    return WindowBatch(
        states,
        torch.randint(0, 5, (SIZE, N), generator=draw),
        torch.randint(0, 2, (SIZE, N), generator=draw).float(),
        after,
        torch.zeros(SIZE, N, dtype=torch.bool),
    )


def steps(seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, N, (SIZE, LABELS)))


@pytest.fixture
def model() -> DecisionTransformer:
    torch.manual_seed(0)
    return DecisionTransformer(
        DecisionShape(observation_sizes=(5, 5), n_actions=5, n_embd=16, n_layer=2, n_head=2, n_inner=32)
    ).eval()


@dataclass(frozen=True)
class Noting(Compressor):
    """Keeps all, and notes what it was shown."""

    name: ClassVar[str] = "noting"
    needs_attention: ClassVar[bool] = True
    seen: ClassVar[list[History]] = []

    @property
    def max_length(self) -> int:
        return N

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        self.seen.append(history)
        return history.valid


def test_a_compressor_sees_the_steps_before_the_action_and_their_attention(model: DecisionTransformer) -> None:
    given = batch()
    Noting.seen.clear()
    with torch.no_grad():
        shortened(model, given, Noting(), LABELS, np.random.default_rng(1))
    (history,) = Noting.seen
    now = steps(1).flatten()
    assert history.valid.sum(1).tolist() == now.tolist()
    assert all(row[: int(at)].all() for row, at in zip(history.valid, now, strict=True))
    rows = torch.arange(SIZE).repeat_interleave(LABELS)
    assert torch.equal(history.actions, given.actions[rows])
    assert history.here is not None and torch.equal(history.here[:, 0], given.states[rows, now])
    assert history.attention is not None
    with torch.no_grad():
        slow = attended(model, replace(history, attention=None), given.states[rows, now])
    assert (history.attention - slow.masked_fill(~history.valid, 0.0)).abs().max() < 1e-5


def test_keeping_all_is_the_loss_of_the_same_steps(model: DecisionTransformer) -> None:
    """The every-step pass, in which no step sees itself (tests/agents/test_transformer.py), is the reference."""
    given = batch()
    with torch.no_grad():
        short = shortened(model, given, RecencyCompressor(N), LABELS, np.random.default_rng(2))
        logits = model(given.states, given.actions, given.rewards, given.next_states)
        at = steps(2)
        wanted = torch.nn.functional.cross_entropy(
            logits.gather(1, at[..., None].expand(-1, -1, 5)).flatten(0, 1), given.actions.gather(1, at).flatten()
        )
    assert abs(float(short.value) - float(wanted)) < 1e-5
