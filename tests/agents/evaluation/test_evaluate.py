"""Evaluating agents: which goals are played, by whom, and what is refused. The agents are untrained and small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.environments import room_named
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.evaluation.evaluate import PACKAGES, evaluate
from keepmap.core.versions import versions
from keepmap.errors import ImpossibleResultError
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
    evaluation = evaluate(agent, goals, episodes=4, copies=3, seed=5, progress=shares.append)
    envs = RoomVectorEnv(agent.room, 6, [goals[0]] * 3 + [goals[1]] * 3)
    assert (evaluation.all_returns == agent.play(envs, 4, seed=5).reshape(2, 3, 4)).all()
    assert evaluation.all_returns.sum() > 0, "or the test says nothing"
    assert len(shares) == 4 * agent.room.horizon and shares == sorted(shares) and shares[-1] == 1.0
    assert (evaluation.goals, evaluation.optimum) == (tuple(goals), (5.0, 6.0))
    assert evaluation.versions == versions(*PACKAGES) and {*evaluation.versions} == {
        "keepmap",
        "torch",
        "numpy",
        "gymnasium",
        "python",
    }
    assert evaluation.options == {
        "protocol": "goals",
        "room": {"name": "darkroom", "size": 3, "horizon": 6},
        "checkpoints": [
            {
                "name": agent.name,
                "step": 10,
                "split": "guide",
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


def test_by_default_what_the_training_had_acts(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "short", compressor={"name": "recency", "keep_recent": 2})
    agent = load_agent(folder)
    as_trained = evaluate(folder, "all", episodes=5)
    assert as_trained == evaluate(agent, agent.room.goals, episodes=5, compressor=RecencyCompressor(2))
    assert as_trained.options["compressor"] == {"name": "recency", "keep_recent": 2}
    whole = evaluate(agent, "all", episodes=5, compressor="none")
    assert whole.options["compressor"] is None and (whole.all_returns != as_trained.all_returns).any()
    by_name = evaluate(agent, "all", episodes=5, compressor="recency")
    assert by_name == evaluate(agent, "all", episodes=5, compressor=RecencyCompressor())


def test_nothing_is_printed_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluation = evaluate("tiny", "7,2 (5, 6)", episodes=2)
    assert evaluation == evaluate(load_agent("tiny"), [(7, 2), (5, 6)], episodes=2)
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr() == ("", "")


def test_folds_are_evaluated_each_on_its_own_goals(folds: list[Agent]) -> None:
    shares: list[float] = []
    evaluation = evaluate(folds, episodes=5, copies=2, seed=1, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and any(0.25 < share < 0.5 for share in shares)
    assert evaluation.goals == folds[0].room.goals
    assert evaluation.options["protocol"] == "k_fold" and evaluation.options["trained_on"] == []
    assert [fold["split"] for fold in evaluation.options["checkpoints"]] == ["0/4", "1/4", "2/4", "3/4"]
    for agent in folds:
        alone = evaluate(agent, agent.held_out, episodes=5, copies=2, seed=1)
        for index, goal in enumerate(alone.goals):
            assert (evaluation.all_returns[evaluation.goals.index(goal)] == alone.all_returns[index]).all()
            assert evaluation.optimum[evaluation.goals.index(goal)] == alone.optimum[index]
    shorter = evaluate(folds, episodes=1, compressor=RecencyCompressor(2))
    recency = {"name": "recency", "keep_recent": 2}
    assert shorter.options["compressor"] == recency
    first = replace(folds[0], config=replace(folds[0].config, compressor=recency))
    mixed = evaluate([first, *folds[1:]], episodes=1)
    assert mixed.options["compressor"] == [recency, None, None, None]


def test_the_order_of_folds_does_not_matter_to_the_returns(folds: list[Agent]) -> None:
    first, second = evaluate(folds, episodes=3), evaluate(folds[::-1], episodes=3)
    assert first.goals == second.goals and (first.all_returns == second.all_returns).all()


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
    assert room.most_return((4, 2)) == room.optimum((4, 2)) == 19
    assert once.most_return((0, 0)) == 1
    assert doors.most_return((0, 0, 0, 1)) == 2 > doors.optimum((0, 0, 0, 1))
