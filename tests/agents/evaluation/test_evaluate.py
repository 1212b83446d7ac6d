"""Evaluating agents: which goals are played, by whom, and what is refused. The agents are untrained and small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.environments import room_named
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.evaluation import evaluate as module
from keepmap.agents.evaluation.evaluate import PACKAGES, check_folds, evaluate, evaluate_folds, joined
from keepmap.core.versions import versions
from keepmap.errors import ImpossibleResultError, InputError
from tests.agents.checkpoint_folders import write_agent


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return load_agent(write_agent(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Agent]:
    where = tmp_path_factory.mktemp("folds")
    return [load_agent(write_agent(where / str(k), weights_seed=k, split=f"{k}/4")) for k in range(4)]


def test_each_goal_is_played_by_its_copies(agent: Agent) -> None:
    goals = [(0, 0), (2, 1)]
    shares: list[float] = []
    found = evaluate(agent, goals, episodes=4, copies=3, seed=5, progress=shares.append)
    envs = RoomVectorEnv(agent.room, 6, [goals[0]] * 3 + [goals[1]] * 3)
    assert (found.all_returns == agent.play(envs, 4, seed=5).reshape(2, 3, 4)).all()
    assert found.all_returns.sum() > 0, "or the test says nothing"
    assert len(shares) == 4 * agent.room.horizon and shares == sorted(shares) and shares[-1] == 1.0
    assert (found.goals, found.optimum) == (tuple(goals), (5.0, 6.0))
    assert found.versions == versions(*PACKAGES) and {*found.versions} == {
        "keepmap",
        "torch",
        "numpy",
        "gymnasium",
        "python",
    }
    assert found.options == {
        "protocol": "goals",
        "room": {"name": "darkroom", "size": 3, "horizon": 6},
        "checkpoints": [
            {
                "name": agent.name,
                "step": 10,
                "split": "seed",
                "split_seed": 0,
                "train_seed": 0,
                "n_transit": 12,
                "compressor": None,
            }
        ],
        "trained_on": [list(goal) for goal in goals if goal in agent.train],
        "episodes": 4,
        "copies": 3,
        "seed": 5,
        "compressor": None,
    }


def test_the_compressor_acts_and_is_written_down(agent: Agent) -> None:
    whole = evaluate(agent, agent.room.goals, episodes=5)
    short = evaluate(agent, agent.room.goals, episodes=5, compressor=RecencyCompressor(2))
    assert (whole.all_returns != short.all_returns).any()
    assert short.options["compressor"] == {"name": "recency", "keep_recent": 2}
    assert (whole.options["protocol"], len(whole.options["trained_on"])) == ("all", len(agent.train))
    assert evaluate(agent, agent.held_out, episodes=1).options["protocol"] == "held_out"
    assert evaluate(agent, agent.train, episodes=1).options["protocol"] == "train"


def test_folds_are_evaluated_each_on_its_own_goals(folds: list[Agent]) -> None:
    found = evaluate_folds(folds, episodes=5, copies=2, seed=1)
    assert found.goals == folds[0].room.goals
    assert found.options["protocol"] == "k_fold" and found.options["trained_on"] == []
    assert [one["split"] for one in found.options["checkpoints"]] == ["0/4", "1/4", "2/4", "3/4"]
    for agent in folds:
        alone = evaluate(agent, agent.held_out, episodes=5, copies=2, seed=1)
        for index, goal in enumerate(alone.goals):
            assert (found.all_returns[found.goals.index(goal)] == alone.all_returns[index]).all()
            assert found.optimum[found.goals.index(goal)] == alone.optimum[index]
    one = RecencyCompressor(2)
    shorter = evaluate_folds(folds, episodes=1, compressors=[one] * 4)
    assert shorter.options["compressor"] == {"name": "recency", "keep_recent": 2}
    mixed = evaluate_folds(folds, episodes=1, compressors=[one, None, None, None])
    assert mixed.options["compressor"] == [{"name": "recency", "keep_recent": 2}, None, None, None]


def test_the_order_of_folds_does_not_matter_to_the_returns(folds: list[Agent]) -> None:
    parts = [evaluate(agent, agent.held_out, episodes=3) for agent in folds]
    first, second = joined(parts, folds[0].room), joined(parts[::-1], folds[0].room)
    assert first.goals == second.goals and (first.all_returns == second.all_returns).all()


def test_folds_that_overlap_or_leave_goals_out_are_named(folds: list[Agent], agent: Agent) -> None:
    with pytest.raises(InputError, match=r"the goal \(\d, \d\) is held out by .*0/ckpt-10 and by .*0/ckpt-10; folds"):
        check_folds([folds[0], folds[0]])
    with pytest.raises(InputError, match=r"no checkpoint of 2 holds out the goal \(\d, \d\) and 3 others; the folds"):
        check_folds(folds[:2])
    missing = replace(folds[3], held_out=folds[3].held_out[1:])
    goal = folds[3].held_out[0]
    with pytest.raises(InputError, match=rf"holds out the goal \({goal[0]}, {goal[1]}\); the folds must"):
        check_folds([*folds[:3], missing])
    with pytest.raises(InputError, match="the folds of no checkpoint"):
        evaluate_folds([])


def test_folds_of_other_rooms_do_not_go_together(folds: list[Agent], tmp_path: Path) -> None:
    other = load_agent(write_agent(tmp_path / "other", horizon=7, max_reward=7.0))
    with pytest.raises(InputError, match="darkroom 3x3 of 6 steps and .* in darkroom 3x3 of 7 steps; folds are of one"):
        check_folds([folds[0], other])


@pytest.mark.parametrize(
    ("goals", "options", "message"),
    [
        ([], {}, "an evaluation on no goal"),
        ([(0, 3)], {}, r"expected a goal of darkroom of size 3, .* got \(0, 3\)"),
        ([(0, 1), (0, 1)], {}, r"the goal \(0, 1\) was named twice; use copies"),
        ([(0, 1)], {"episodes": 0}, "0 episodes were asked for; there must be 1 or more"),
        ([(0, 1)], {"copies": -1}, "-1 copies were asked for"),
        ([(0, 1)], {"seed": -1}, "a seed of -1"),
    ],
)
def test_bad_input(agent: Agent, goals: list[tuple[int, ...]], options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(agent, goals, **options)


@pytest.mark.parametrize("value", [6.5, -1.0, np.nan])
def test_returns_that_the_room_cannot_give_are_errors(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def play(self: Agent, envs: RoomVectorEnv, episodes: int, **options: object) -> np.ndarray:
        return np.full((envs.num_envs, episodes), value)

    monkeypatch.setattr(Agent, "play", play)
    with pytest.raises(ImpossibleResultError, match=r"the goal \(1, 1\) returned .* it can give 0 to 6"):
        evaluate(agent, [(1, 1)], episodes=2)


def test_the_most_of_an_episode_is_that_of_its_best_start() -> None:
    room, once, doors = room_named("darkroom"), room_named("darkroom_hard"), room_named("dark_key_to_door", horizon=4)
    assert module._most(room, (4, 2)) == room.optimum((4, 2)) == 19
    assert module._most(once, (0, 0)) == 1
    assert module._most(doors, (0, 0, 0, 1)) == 2 > doors.optimum((0, 0, 0, 1))
