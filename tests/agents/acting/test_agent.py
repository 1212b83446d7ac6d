"""A trained agent: what may be loaded as one, what it shows of itself, and how it is let play."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import keepmap
from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.history import History
from keepmap.errors import InputError, ModelError
from tests.agents.checkpoint_folders import write_agent
from tests.forked import python


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_agent(tmp_path_factory.mktemp("runs") / "one", n_transit=40, split="0/3")


@pytest.fixture(scope="module")
def agent(run: Path) -> Agent:
    return load_agent(run)


def test_a_run_its_checkpoint_and_an_agent_are_the_same(run: Path, agent: Agent) -> None:
    assert load_agent(agent) is agent
    other = load_agent(str(run / "ckpt-10"))
    assert (other.name, other.step, other.train) == (agent.name, 10, agent.train)
    with pytest.raises(ModelError, match="no agent at"):
        load_agent(run / "ckpt-11")


WRONG = """
import keepmap, torch
agent = keepmap.load_agent()
for given in (agent.model, 3, None, [agent]):
    try:
        keepmap.load_agent(given)
    except keepmap.InputError as error:
        print(error)
"""


def test_other_kinds_are_one_line() -> None:
    """In a process of its own: here, the types of arguments are checked before they are looked at."""
    done = python("-c", WRONG, cwd=Path())
    assert done.returncode == 0, done.stderr
    start = "expected `path` to be an agent, the folder of a run or of a checkpoint, or 'tiny', got "
    kinds = ("a DecisionTransformer", "an int", "None", "a list")
    assert done.stdout.splitlines() == [start + kind for kind in kinds]


def test_what_it_shows_of_itself(agent: Agent) -> None:
    lines = repr(agent).splitlines()
    assert len(lines) <= 4 and max(map(len, lines)) < 200
    assert lines[0].startswith("Agent(one/ckpt-10: AD for darkroom 3x3, 10 updates, 6 goals trained on and 3 ")
    assert lines[1].strip().startswith("2 layers x 2 heads, ") and "a context of 40 transitions" in lines[1]
    shown = replace(agent, name="<b>")._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown.replace("<div><b>", "")
    assert "darkroom 3x3, episodes of 6 steps" in shown and "6 trained on, 3 held out" in shown


def test_a_compressor_by_name_acts_as_the_compressor(agent: Agent) -> None:
    envs = RoomVectorEnv(agent.room, 6, agent.held_out * 2)
    by_name = agent.play(envs, 12, compressor="recency")
    assert np.array_equal(by_name, agent.play(envs, 12, compressor=RecencyCompressor(10)))
    assert not np.array_equal(by_name, agent.play(envs, 12))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": torch.full((1, 2, 2), 3)}, "states hold 3 to 3; the agent knows 0 to 2"),
        ({"actions": torch.tensor([[0, 5]])}, "actions hold 0 to 5; the agent knows 0 to 4"),
        ({"rewards": torch.tensor([[0.0, float("nan")]])}, "rewards that are not finite"),
        ({"actions": torch.zeros(1, 2)}, "whole numbers"),
    ],
)
def test_histories_that_it_cannot_read(agent: Agent, change: dict[str, torch.Tensor], message: str) -> None:
    cells = torch.zeros(1, 2, 2, dtype=torch.int64)
    parts = {
        "states": cells,
        "actions": cells[..., 0],
        "rewards": torch.zeros(1, 2),
        "next_states": cells,
        "times": torch.arange(2)[None],
        "valid": torch.ones(1, 2, dtype=torch.bool),
    }
    query = torch.zeros(1, 2, dtype=torch.int64)
    assert agent.attention(History(**parts), query).shape == (1, 2)
    with pytest.raises(InputError) as refused:
        agent.attention(History(**parts | change), query)
    assert message in str(refused.value)


def test_the_embedded_agent_is_the_default() -> None:
    assert keepmap.load_agent().name == keepmap.load_agent("tiny").name == "tiny"


def test_an_agent_plays_as_it_was_trained_unless_something_else_is_said(agent: Agent) -> None:
    trained = replace(agent, config=replace(agent.config, compressor={"name": "recency", "keep_recent": 2}))
    envs = RoomVectorEnv(agent.room, 2, agent.held_out[:2])
    as_trained, whole = trained.play(envs, 12), agent.play(envs, 12)
    assert np.array_equal(as_trained, agent.play(envs, 12, compressor=RecencyCompressor(2)))
    assert np.array_equal(trained.play(envs, 12, compressor=None), whole)
    assert np.array_equal(trained.play(envs, 12, compressor="none"), whole)
    assert not np.array_equal(as_trained, whole)
