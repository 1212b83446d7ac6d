"""The agent that the package ships: small, leak-free, and it learns goals in context that it was never trained on."""

from importlib.resources import files

import gymnasium
import numpy as np

import keepmap
from keepmap.agents.compressor import make_compressor
from keepmap.agents.environments.goals import guide_split
from keepmap.agents.environments.vector import RoomVectorEnv

SEEDS_OWN = ((4, 2), (5, 6), (6, 8), (7, 2), (3, 6), (0, 5), (5, 8), (5, 4))


def test_it_is_small() -> None:
    folder = files("keepmap.embedded") / "agent"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) < 2_000_000


def test_it_was_not_trained_on_the_goals_that_it_is_measured_on() -> None:
    agent = keepmap.load_agent()
    assert agent.name == "tiny"
    assert agent.held_out == SEEDS_OWN
    assert agent.train == guide_split(agent.room.goals).train


def test_it_finds_unseen_goals_within_its_context() -> None:
    agent = keepmap.load_agent("tiny")
    optimum = np.array([agent.room.optimum(goal) for goal in agent.held_out])
    returns = agent.play(RoomVectorEnv(agent.room, 8, agent.held_out), 25)
    assert returns[:, 0].mean() < 0.4 * optimum.mean()
    assert returns[:, 10:].mean() > 0.94 * optimum.mean()
    assert (returns <= optimum[:, None]).all()


def test_it_plays_gymnasiums_vectors_and_with_a_compressor() -> None:
    agent = keepmap.load_agent()
    envs = gymnasium.make_vec("keepmap/DarkRoom-9x9-v0", num_envs=2, vectorization_mode="sync")
    full = agent.play(envs, 3, seed=1)
    short = agent.play(envs, 3, seed=1, compressor=make_compressor("recency", {"keep_recent": 2}))
    envs.close()
    assert full.shape == short.shape == (2, 3)
