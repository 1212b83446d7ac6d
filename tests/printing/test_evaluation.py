"""What an evaluation prints: its goals and context, a line for each goal, and the means."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.evaluation.protocol import Protocol, protocol_of
from keepmap.agents.evaluation.returns import Evaluation
from keepmap.printing.evaluation import header, normalised_lines, summary, table
from tests.agents.checkpoint_folders import write_agent


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return load_agent(write_agent(tmp_path_factory.mktemp("run")))


def protocol(agent: Agent, goals: object = "1,0 2,2", compressor: object = "as_trained") -> Protocol:
    return protocol_of(agent, goals, episodes=1500, copies=2, seed=3, compressor=compressor)  # type: ignore[arg-type]


def evaluation(returns: np.ndarray, trained_on: int = 0) -> Evaluation:
    goals = tuple((index, 0) for index in range(len(returns)))
    options = {"seed": 0, "trained_on": [list(goal) for goal in goals[:trained_on]]}
    return Evaluation(goals, (10.0,) * len(goals), returns, options, {})


def test_the_header_says_what_is_played(agent: Agent) -> None:
    assert header(protocol(agent)) == [
        "Evaluation goals: (1,0) (2,2)",
        "  darkroom 3x3, 1,500 episodes of 6 steps, 2 copies of each goal, seed 3",
        "  Context: the last 12 transitions",
        "",
    ]
    trained = replace(agent, config=replace(agent.config, compressor={"name": "recency", "keep_recent": 3}))
    assert header(protocol(trained))[2] == "  Context: RecencyCompressor(keep_recent=3) of the last 12 transitions"
    whole = " ".join(header(protocol(trained, compressor="none"))[2:]).split()
    assert " ".join(whole) == ("Context: the last 12 transitions (trained with RecencyCompressor(keep_recent=3))")
    short = " ".join(header(protocol(agent, compressor=RecencyCompressor(2)))[2:]).split()
    assert " ".join(short) == (
        "Context: RecencyCompressor(keep_recent=2) of the last 12 transitions (trained with whole windows)"
    )


def test_many_goals_are_counted(tmp_path: Path) -> None:
    large = load_agent(write_agent(tmp_path, grid_size=11))
    lines = header(protocol(large, "all"))
    assert max(map(len, lines)) <= 80 and " ".join(" ".join(lines).split()).count("),") == 0
    assert "and 21 more" in " ".join(" ".join(lines).split())


def test_the_table_has_a_line_for_each_goal() -> None:
    returns = np.zeros((2, 1, 30))
    returns[0] = 9.5
    returns[1, 0, 10:] = 6
    lines = table(evaluation(returns))
    assert lines[0].split() == ["mean", "reward", "optimum", "share", "last", "20", "solved"]
    assert lines[2].split()[-5:] == ["9.50", "10.00", "95.0%", "9.50", "yes"]
    assert lines[3].split() == ["Env", "1", "(goal=(1,", "0))", "4.00", "10.00", "40.0%", "6.00", "no"]
    many = table(evaluation(np.ones((103, 1, 3))))
    assert many[-2] == "and 3 more, in evaluation.json" and sum(line.startswith("Env ") for line in many) == 100


def test_the_summary_has_means_with_intervals_and_what_was_trained_on() -> None:
    returns = np.zeros((3, 1, 40))
    returns[:, 0, 20:] = np.array([10.0, 8.0, 6.0])[:, None]
    of = evaluation(returns, trained_on=1)
    assert of.early is not None
    assert summary(of) == [
        f"Overall mean reward: {of.estimate()}, n=3 (40.0% of the optimum 10.00)",
        f"  of episodes 21 to 40: {of.early}, n=3 (80.0% of the optimum 10.00)",
        f"Std deviation: {of.standard_deviation:.2f} (of an episode, over goals and episodes)",
        "Solved: 1 of 3 goals (last 20 episodes at 90 % of the optimum or more)",
        "Note: 1 of these goals were in the training",
        "[...]: 95 % interval over goals",
    ]
    assert len(summary(evaluation(returns[:1, :, :5]))) == 3


def test_the_normalised_return_is_said_where_it_is_known() -> None:
    returns, constant = np.full((4, 1, 8), 6.0), np.full((4, 1), 2.0)
    goals = tuple((0, number) for number in range(4))
    known = Evaluation(goals, (10.0,) * 4, returns, {"trained_on": []}, {}, best=5 * constant, random=constant)
    lines = "\n".join(normalised_lines(known))
    assert "episodes 7 to 8" in lines and "mean 0.50" in lines and "90 % never; regret 32.00" in lines
    assert normalised_lines(Evaluation(goals, (10.0,) * 4, returns, {}, {})) == []
