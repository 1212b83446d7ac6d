"""The front door's compressors: those of the package, which ask an agent that is named for its attention."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

import compression_strategies as door
from keepmap.agents.acting.agent import load_agent
from keepmap.agents.arrays import as_history
from keepmap.agents.compressor import History, compressors
from keepmap.errors import InputError

ROOT = Path(__file__).parents[2]
NEEDY = ["AdaptiveCompressor", "AttentionBasedCompressor", "ThresholdCompressor"]


@dataclass
class Fake:
    """Attends to the places in the history where the state was the query's column."""

    seen: list[tuple[History, torch.Tensor]] = field(default_factory=list)

    def attention(self, history: History, query_states: torch.Tensor) -> torch.Tensor:
        self.seen.append((history, query_states))
        return (history.states[..., 0] == query_states[:, None, 0]).float() * 0.1


@pytest.fixture
def fake() -> Fake:
    return Fake()


def batch(size: int = 2, n: int = 40) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    states, next_states = torch.randint(9, (2, size, n, 2), generator=generator)
    return states, torch.randint(5, (size, n), generator=generator), torch.zeros(size, n), next_states


def test_the_front_door_has_every_compressor() -> None:
    assert sorted(door.__all__) == sorted(cls.__name__ for cls in compressors().values())
    for cls in compressors().values():
        assert getattr(door, cls.__name__) is cls


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_an_agent_is_asked_from_where_each_history_led(fake: Fake, kind: str) -> None:
    arrays: tuple = batch() if kind == "torch" else tuple(array.numpy() for array in batch())
    short = door.AttentionBasedCompressor(target_length=3).compress(*arrays, agent=fake)
    states, _, _, next_states = arrays
    for row in range(2):
        alike = np.flatnonzero(np.asarray(states)[row, :, 0] == int(next_states[row, -1, 0]))
        assert short.indices[row].tolist() == alike[-3:].tolist()
    assert torch.equal(fake.seen[0][1], torch.as_tensor(next_states[:, -1]))


@pytest.mark.parametrize("name", NEEDY)
def test_nobody_s_attention_is_taken_in_silence(name: str) -> None:
    """Whole numbers that fit the embedded agent are no reason to use its attention."""
    with pytest.raises(
        InputError, match=rf"{name} decides by attention and none was given; pass attention=\.\.\. or ag"
    ):
        getattr(door, name)().compress(*batch())


def test_the_attention_is_that_of_the_agent_that_is_named() -> None:
    arrays, agent = batch(), load_agent("tiny")
    history, states = as_history(*arrays, None, None), arrays[3][:, -1]
    weights = agent.attention(history, states)
    named = door.AttentionBasedCompressor(5).compress(*arrays, agent=agent)
    given = door.AttentionBasedCompressor(5).compress(*arrays, attention=weights)
    assert torch.equal(named.indices, given.indices)


def test_one_hot_and_float_arrays_reach_the_agent_as_numbers(fake: Fake) -> None:
    states, actions, rewards, next_states = batch()
    one_hot = torch.nn.functional.one_hot(actions, 5).float()
    door.AdaptiveCompressor().compress(states.float(), one_hot, rewards[..., None], next_states.float(), agent=fake)
    door.ThresholdCompressor().compress(states, actions[..., None].float(), rewards, next_states, agent=fake)
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
    short = door.AttentionBasedCompressor(3).compress(
        states, actions, rewards.log(), next_states, mask=mask, agent=fake
    )
    history, query = fake.seen[0]
    assert (history.states[~mask] == 0).all() and (history.actions[~mask] == 0).all()
    assert torch.equal(query[0], next_states[0, 29])
    assert short.mask.sum(1).tolist() == [3, 0]


def test_who_needs_no_attention_and_an_empty_history_ask_nobody(fake: Fake) -> None:
    assert door.RecencyCompressor(1).compress(*batch(), agent=fake).indices.tolist() == [[39], [39]]
    assert door.AttentionBasedCompressor(1).compress(*batch(n=0), agent=fake).mask.shape == (2, 0)
    assert fake.seen == []


def test_wrong_agents_and_what_they_do_not_know_are_one_line(fake: Fake) -> None:
    states, actions, rewards, next_states = batch()
    compressor, tiny = door.AttentionBasedCompressor(), load_agent("tiny")
    wrong: list[tuple[tuple, dict, str]] = [
        (batch(), {"agent": fake, "attention": torch.ones(2, 40)}, "`attention` or `agent`, .* got both; leave one"),
        ((states + 0.5, actions, rewards, next_states), {"agent": fake}, "`states` to be whole numbers"),
        ((states, actions, rewards, next_states + 0.5), {"agent": fake}, "`next_states` to be whole numbers"),
        ((states + 1, actions, rewards, next_states), {"agent": tiny}, "states hold 1 to 9; the agent knows 0 to 8"),
        ((states, actions + 1, rewards, next_states), {"agent": tiny}, "actions hold 1 to 5; the agent knows 0 to 4"),
        ((states[..., :1], actions, rewards, next_states[..., :1]), {"agent": tiny}, "states of 2 coordinates"),
    ]
    for arrays, options, message in wrong:
        with pytest.raises(InputError, match=message):
            compressor.compress(*arrays, **options)
    assert fake.seen == []


def test_importing_the_front_door_loads_no_agent_and_no_picture() -> None:
    code = (
        "import sys; from compression_strategies import RecencyCompressor; RecencyCompressor(keep_recent=10)\n"
        "assert not {'matplotlib', 'transformers', 'gymnasium', 'h5py'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
