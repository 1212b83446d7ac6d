"""Who is evaluated on which goals: agents, goals and compressors as people give them, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.evaluation.protocol import Protocol, protocol_of, resolve_agents
from keepmap.errors import InputError, ModelError
from tests.agents.checkpoint_folders import write_agent


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return load_agent(write_agent(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Agent]:
    where = tmp_path_factory.mktemp("folds")
    return [load_agent(write_agent(where / str(k), weights_seed=k, split=f"{k}/4")) for k in range(4)]


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are not checked, as for a user: the function itself has to refuse."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def protocol(agent: object, goals: object = "held_out", **options: Any) -> Protocol:
    return protocol_of(agent, goals, **{"episodes": 2, "copies": 3, "seed": 0} | options)  # type: ignore[arg-type]


def test_an_agent_is_taken_however_it_is_given(agent: Agent, tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "run")
    for given in (folder, str(folder), [folder], (str(folder / "ckpt-10"),)):
        (result,) = resolve_agents(given)
        assert Path(result.name) == folder / "ckpt-10"
    assert resolve_agents(agent) == resolve_agents([agent]) == (agent,)
    assert resolve_agents("tiny")[0].name == "tiny"


@pytest.mark.parametrize(
    "goals",
    [
        "1,0 2,2",
        " (1, 0)   (2,2) ",
        ["1,0", "2,2"],
        ("(1,0)", "(2,", "2)"),
        [(1, 0), (2, 2)],
        ([1, 0], (2, 2)),
        np.array([[1, 0], [2, 2]]),
        ((x, x // 2 * 2) if x == 2 else (x, 0) for x in (1, 2)),
    ],
    ids=range(8),
)
def test_cells_are_taken_however_they_are_given(agent: Agent, goals: object) -> None:
    assert protocol(agent, goals).goals == (((1, 0), (2, 2)),)


def test_sides_are_named_and_one_cell_needs_no_list(agent: Agent) -> None:
    assert protocol(agent).goals == (agent.held_out,) and protocol(agent, ["all"]).goals == (agent.room.goals,)
    assert protocol(agent, "train").goals == (agent.train,)
    assert protocol(agent, (2, 1)).goals == protocol(agent, np.array([2, 1])).goals == (((2, 1),),)


def test_folds_play_their_own_goals(folds: list[Agent]) -> None:
    for goals in ("held_out", ["held_out"], ("held_out",)):
        assert protocol(folds, goals).goals == tuple(agent.held_out for agent in folds)
    assert protocol(folds).steps == 9 * 3 * 2 * folds[0].room.horizon
    for goals, shown in (("all", "all"), (["0,1", "1,1"], "0,1 1,1"), ([(0, 1)], r"\[\(0, 1\)\]")):
        with pytest.raises(InputError, match=f"to be held_out, of each of 4 agents, got {shown}; leave `goals` out"):
            protocol(folds, goals)


def test_the_compressor_is_that_of_the_training_unless_one_is_given(agent: Agent) -> None:
    trained = replace(agent, config=replace(agent.config, compressor={"name": "recency", "keep_recent": 3}))
    for compressor, expected in (
        ("as_trained", RecencyCompressor(3)),
        ("none", None),
        (None, None),
        ("recency", RecencyCompressor()),
        (RecencyCompressor(2), RecencyCompressor(2)),
    ):
        assert protocol(trained, compressor=compressor).compressors == (expected,)
    assert protocol(trained).compressors == (RecencyCompressor(3),)
    assert protocol(agent).compressors == (None,)


def test_folds_that_overlap_or_leave_goals_out_are_named(folds: list[Agent]) -> None:
    with pytest.raises(InputError, match=r"the goal \(\d, \d\) is held out by .*0/ckpt-10 and by .*0/ckpt-10; folds"):
        resolve_agents([folds[0], folds[0]])
    with pytest.raises(InputError, match=r"no agent of 2 holds out the goal \(\d, \d\) and 3 others; the folds"):
        resolve_agents(folds[:2])
    missing = replace(folds[3], held_out=folds[3].held_out[1:])
    goal = folds[3].held_out[0]
    with pytest.raises(InputError, match=rf"holds out the goal \({goal[0]}, {goal[1]}\); the folds must"):
        resolve_agents([*folds[:3], missing])


def test_folds_of_other_rooms_do_not_go_together(folds: list[Agent], tmp_path: Path) -> None:
    other = load_agent(write_agent(tmp_path / "other", horizon=7, max_reward=7.0))
    with pytest.raises(InputError, match="darkroom 3x3 of 6 steps and .* in darkroom 3x3 of 7 steps; folds are of one"):
        resolve_agents([folds[0], other])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("goals", "options", "message"),
    [
        ([], {}, "expected `goals` to be one or more, got none"),
        ("", {}, "expected `goals` to be one or more, got none"),
        ([(0, 3)], {}, r"expected `goals` to be one of darkroom of size 3, .*, got \(0, 3\)"),
        ([(0, 1), (0, 1)], {}, r"the goal \(0, 1\) was named twice; use `copies`"),
        ("heldout", {}, 'expected `goals` to be held_out, train, all or cells as "4,2 5,6", got "heldout"'),
        ([(0.5, 1)], {}, r"expected `goals` to be .* got \[\(0.5, 1\)\]"),
        ([(0, 1), "1,1"], {}, "expected `goals` to be"),
        (3, {}, "expected `goals` to be .* got 3"),
        ([(0, 1)], {"episodes": 0}, "expected `episodes` to be an integer of 1 or more, got 0"),
        ([(0, 1)], {"episodes": "3"}, "expected `episodes` to be an integer of 1 or more, got '3'"),
        ([(0, 1)], {"episodes": True}, "expected `episodes` to be an integer of 1 or more, got True"),
        ([(0, 1)], {"copies": -1}, "expected `copies` to be an integer of 1 or more, got -1"),
        ([(0, 1)], {"seed": -1}, "expected `seed` to be an integer of 0 or more, got -1"),
        ([(0, 1)], {"compressor": RecencyCompressor}, "expected `compressor` to be a compressor .* got the class"),
        ([(0, 1)], {"compressor": "recensy"}, 'unknown compressor "recensy" as `compressor`, did you mean "recency"'),
    ],
)
def test_bad_input(agent: Agent, goals: object, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        protocol(agent, goals, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("unchecked")
def test_agents_that_are_none(agent: Agent, tmp_path: Path) -> None:
    for given, message in (
        (3, "expected `agent` to be an agent, its folder or its name, got an int"),
        ([agent, None], "expected `agent` to be an agent, its folder or its name, got None"),
        ([], "expected `agent` to be an agent, or one for each fold, got none"),
    ):
        with pytest.raises(InputError, match=message):
            resolve_agents(given)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no agent at"):
        resolve_agents(tmp_path / "none")
    trained_on_all = load_agent(write_agent(tmp_path / "all", split="all"))
    with pytest.raises(InputError, match="has no held_out goals; name some with `goals`, or use goals=all"):
        protocol(trained_on_all)
