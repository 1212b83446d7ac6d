"""The front door's compressors: they ask the agent for its attention to this very history."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import compression_strategies as door
from keepmap.agents import compression_strategies as strategies
from keepmap.agents.compressor import History, compressors
from keepmap.errors import InputError

ROOT = Path(__file__).parents[2]
NEEDY = ["AdaptiveCompressor", "AttentionBasedCompressor", "ThresholdCompressor"]


@dataclass
class Fake:
    """Attends to the places in the history where the state was the query's column."""

    seen: list[tuple[History, torch.Tensor]] = field(default_factory=list)
    model = SimpleNamespace(shape=SimpleNamespace(observation_sizes=(9, 9), n_actions=5))

    def attention(self, history: History, query_states: torch.Tensor) -> torch.Tensor:
        self.seen.append((history, query_states))
        return (history.states[..., 0] == query_states[:, None, 0]).float() * 0.1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    agent = Fake()
    monkeypatch.setattr(strategies, "embedded_agent", lambda: agent)
    return agent


def batch(size: int = 2, n: int = 40) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    states, next_states = torch.randint(9, (2, size, n, 2), generator=generator)
    return states, torch.randint(5, (size, n), generator=generator), torch.zeros(size, n), next_states


def test_the_front_door_has_every_compressor() -> None:
    assert sorted(door.__all__) == sorted(cls.__name__ for cls in compressors().values())
    for cls in compressors().values():
        assert issubclass(getattr(door, cls.__name__), cls)
        assert getattr(door, cls.__name__).__doc__ == cls.__doc__


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_four_arrays_are_enough(fake: Fake, kind: str) -> None:
    arrays: tuple = batch() if kind == "torch" else tuple(array.numpy() for array in batch())
    short = door.AttentionBasedCompressor(target_length=3).compress(*arrays)
    states, _, _, next_states = arrays
    for row in range(2):
        alike = np.flatnonzero(np.asarray(states)[row, :, 0] == int(next_states[row, -1, 0]))
        assert short.indices[row].tolist() == alike[-3:].tolist()
    assert torch.equal(fake.seen[0][1], torch.as_tensor(next_states[:, -1]))


def test_one_hot_and_float_arrays_reach_the_agent_as_numbers(fake: Fake) -> None:
    states, actions, rewards, next_states = batch()
    one_hot = torch.nn.functional.one_hot(actions, 5).float()
    door.AdaptiveCompressor().compress(states.float(), one_hot, rewards[..., None], next_states.float())
    door.ThresholdCompressor().compress(states, actions[..., None].float(), rewards, next_states)
    for history, query in fake.seen:
        assert torch.equal(history.states, states) and torch.equal(history.actions, actions)
        assert torch.equal(query, next_states[:, -1])


def test_gaps_reach_the_agent_as_known_states_and_are_not_asked_from(fake: Fake) -> None:
    states, actions, rewards, next_states = batch()
    mask = torch.ones(2, 40, dtype=torch.bool)
    mask[0, 30:] = False
    mask[1] = False
    for array in (states, next_states):
        array[~mask] = 200
    actions[~mask] = -1
    short = door.AttentionBasedCompressor(3).compress(states, actions, rewards.log(), next_states, mask=mask)
    history, query = fake.seen[0]
    assert (history.states[~mask] == 0).all() and (history.actions[~mask] == 0).all()
    assert torch.equal(query[0], next_states[0, 29])
    assert short.mask.sum(1).tolist() == [3, 0]


def test_given_attention_is_used_and_an_empty_history_asks_nobody(fake: Fake) -> None:
    attention = torch.zeros(2, 40)
    attention[:, 7] = 1
    assert door.AttentionBasedCompressor(1).compress(*batch(), attention=attention).indices.tolist() == [[7], [7]]
    assert door.AttentionBasedCompressor(1).compress(*batch(n=0)).mask.shape == (2, 0)
    assert fake.seen == []


@pytest.mark.parametrize("name", NEEDY)
def test_spaces_that_do_not_fit_the_agent(fake: Fake, name: str) -> None:
    states, actions, rewards, next_states = batch()
    compressor = getattr(door, name)()
    wrong = [
        (states + 1, actions, rewards, next_states),
        (states + 0.5, actions, rewards, next_states),
        (states[..., :1], actions, rewards, next_states[..., :1]),
        (states, actions + 1, rewards, next_states),
    ]
    for arrays in wrong:
        with pytest.raises(
            InputError, match=r"no attention was given, and the embedded agent takes .*; pass attention"
        ):
            compressor.compress(*arrays)
        assert len(compressor.compress(*arrays, attention=torch.ones(2, 40))) == 4
    assert fake.seen == []


def test_importing_the_front_door_loads_no_agent_and_no_picture() -> None:
    code = (
        "import sys; from compression_strategies import RecencyCompressor; RecencyCompressor(keep_recent=10)\n"
        "assert not {'matplotlib', 'transformers', 'gymnasium', 'h5py'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
