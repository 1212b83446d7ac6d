"""Sources of histories: they learn, they see no goal, and what they record is what the room does."""

import re
import sys
import types
from dataclasses import fields

import numpy as np
import pytest

from keepmap.agents.collection.source import make_source, source_class, sources
from keepmap.agents.collection.sources.ppo import PPO, Recorder, stacked
from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.single import RoomEnv
from keepmap.core.joining.options import read_options
from keepmap.errors import InputError
from tests.reference.rooms import walk

COVERS = (
    "keepmap.agents.collection.sources.*",
    "keepmap.agents.collection.source",
    "keepmap.agents.collection.learners",
)


ARRAY_SOURCES = ("optimistic", "q_learning")


def returns(streams, horizon: int) -> np.ndarray:
    """[E, n]."""
    steps, n = streams.rewards.shape
    return streams.rewards.reshape(steps // horizon, horizon, n).sum(axis=1, dtype=int)


@pytest.mark.parametrize("name", ARRAY_SOURCES)
@pytest.mark.parametrize("environment", sorted(environments()))
def test_what_is_recorded_is_what_the_room_does(name, environment):
    room = room_named(environment, size=4, horizon=7)
    goals = room.goals[:: len(room.goals) // 3]
    streams = make_source(name).learn(room, goals, 2, 3, 5)
    assert streams.actions.shape == (21, 2 * len(goals))
    for learner in range(2 * len(goals)):
        goal = goals[learner // 2]
        for first in range(0, 21, 7):
            rows = slice(first, first + 7)
            start = tuple(streams.states[first, learner].tolist())
            assert start in room.all_starts()
            seen = walk(environment, 4, goal, start, streams.actions[rows, learner].tolist())
            after = [tuple(cell) for cell in streams.next_states[rows, learner].tolist()]
            assert [
                (cell, int(reward)) for cell, reward in zip(after, streams.rewards[rows, learner], strict=True)
            ] == seen
            np.testing.assert_array_equal(streams.states[first + 1 : first + 7, learner], after[:-1])
            assert streams.dones[rows, learner].tolist() == [False] * 6 + [True]


@pytest.mark.parametrize("name", ARRAY_SOURCES)
def test_a_goals_learners_depend_on_no_other_goal(name):
    room = room_named("darkroom", size=5)
    together = make_source(name).learn(room, room.goals[:4], 3, 4, 1)
    alone = make_source(name).learn(room, room.goals[2:3], 3, 4, 1)
    other = make_source(name).learn(room, room.goals[2:3], 3, 4, 2)
    for entry in fields(alone):
        np.testing.assert_array_equal(getattr(together, entry.name)[:, 6:9], getattr(alone, entry.name))
    assert not np.array_equal(alone.actions, other.actions)
    # ... and no two learners are the same, of one goal or of two, before they have found anything.
    assert len({together.actions[:4, learner].tobytes() for learner in range(12)}) > 6


@pytest.mark.parametrize("name", ARRAY_SOURCES)
def test_before_its_first_reward_a_learner_knows_nothing_of_its_goal(name):
    """Two goals, the same draws: the learners act alike until one of them is rewarded."""
    room = room_named("darkroom", size=5)

    class Renamed(type(room)):
        """The same room, whose goals all have the number 0 and so the same draws."""

        def index(self, goal):
            return 0

    streams = make_source(name).learn(Renamed(5, 20), [(0, 0), (4, 4)], 8, 3, 0)
    for learner in range(8):
        first = min(
            int(np.argmax(rewards)) if rewards.any() else len(rewards)
            for rewards in (streams.rewards[:, learner], streams.rewards[:, learner + 8])
        )
        assert first > 0
        np.testing.assert_array_equal(streams.actions[: first + 1, learner], streams.actions[: first + 1, learner + 8])


def test_q_learning_rises_to_the_optimum():
    room = room_named("darkroom", size=5, horizon=12)
    result = returns(make_source("q_learning").learn(room, room.goals, 8, 120, 0), 12).mean(axis=1)
    optimum = sum(map(room.optimum, room.goals)) / 25
    assert result[0] < 0.4 * optimum
    assert result[:10].mean() < result[10:30].mean() < result[-10:].mean()
    assert result[-10:].mean() > 0.95 * optimum


@pytest.mark.parametrize(
    ("environment", "episodes", "start", "end"),
    [("darkroom", 16, 0.3, 1.0), ("darkroom_permuted", 6, 0.3, 1.0), ("dark_key_to_door", 6, 0.6, 0.99)],
)
@pytest.mark.parametrize("know_moves", [False, True])
def test_the_optimistic_learner_gets_there_in_a_few_episodes(environment, episodes, start, end, know_moves):
    room = room_named(environment)
    goals = room.goals[:: len(room.goals) // 40]
    source = make_source("optimistic", {"know_moves": know_moves})
    result = returns(source.learn(room, goals, 4, episodes, 0), room.horizon)
    optima = np.repeat([room.optimum(goal) for goal in goals], 4)
    assert result[0].mean() < start * optima.mean()
    assert (result[-1] <= optima).all()
    assert result[-1].mean() >= end * optima.mean()


def test_a_large_room_is_searched_as_far_as_the_horizon_reaches():
    room = room_named("darkroom_hard")
    goals = room.goals[::12]
    result = returns(make_source("optimistic").learn(room, goals, 2, 30, 0), room.horizon)
    assert result[0].mean() < 0.3
    assert result[-1].mean() > 0.9


def test_epsilon_makes_the_optimistic_learner_err():
    room = room_named("darkroom", size=5)
    exact, erring = (
        returns(make_source("optimistic", {"epsilon": epsilon}).learn(room, room.goals, 2, 8, 0), 20)[-1]
        for epsilon in (0.0, 0.3)
    )
    assert erring.mean() < 0.8 * exact.mean()


def test_the_registry_finds_every_file():
    assert tuple(sources()) == ("optimistic", "ppo", "q_learning")
    assert source_class("ppo") is PPO
    assert make_source("q_learning", read_options(["epsilon=0.25", "discount=0.5"])).epsilon == 0.25
    assert make_source("optimistic", {"know_moves": "True"}).know_moves is True


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("optimstic", [], 'unknown source "optimstic", did you mean "optimistic"?'),
        ("q_learning", ["epsilom=1"], 'unknown option "epsilom" of the source q_learning, did you mean "epsilon"?'),
        ("q_learning", ["epsilon"], 'expected name=value, got the setting "epsilon"'),
        ("q_learning", ["epsilon=x"], 'expected epsilon of the source q_learning to be of type float, got "x"'),
        ("q_learning", ["discount=1.5"], "expected `discount` of q_learning to be a number in [0, 1], got 1.5"),
        ("q_learning", ["discount=nan"], "expected `discount` of q_learning to be a number in [0, 1], got nan"),
        ("q_learning", ["optimism=inf"], "expected `optimism` of q_learning to be a finite number, got inf"),
        ("optimistic", ["know_moves=1"], "expected know_moves of the source optimistic to be true or false"),
        ("optimistic", ["epsilon=-1"], "expected `epsilon` of optimistic to be a probability in [0, 1], got -1"),
        ("ppo", ["n_steps=0"], "expected `n_steps` of ppo to be 2 or more, got 0"),
        ("ppo", ["n_steps=1.5"], "expected n_steps of the source ppo to be of type int"),
        ("ppo", ["learning_rate=0"], "got learning_rate=0 and discount=0.99 for ppo"),
    ],
)
def test_options_that_cannot_be_used(name, settings, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_source(name, read_options(settings))


def test_ppo_without_its_library_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(InputError, match=r"ppo needs stable-baselines3 .*: pip install 'keepmap\[sb3\]'") as caught:
        make_source("ppo").check()
    assert "\n" not in str(caught.value)
    room = room_named("darkroom")
    with pytest.raises(InputError, match="pip install"):
        make_source("ppo").learn(room, room.goals[:1], 1, 1, 0)


def test_ppo_records_whole_episodes_of_every_learner(monkeypatch):
    """With a policy in place of stable-baselines3's that draws its actions, and runs on to the end of its rollout."""
    policies = []

    class Policy:
        def __init__(self, policy, envs, **options):
            self.envs, self.options = envs, options
            policies.append(options)

        def learn(self, total_timesteps):
            generator = np.random.default_rng(self.options["seed"])
            for env in self.envs:
                env.reset()
            for _ in range(-(-total_timesteps // (len(self.envs) * self.options["n_steps"])) * self.options["n_steps"]):
                for env in self.envs:
                    if env.step(generator.integers(5))[3]:
                        env.reset()

    library = types.ModuleType("stable_baselines3")
    library.common = types.ModuleType("stable_baselines3.common")
    library.common.vec_env = types.ModuleType("stable_baselines3.common.vec_env")
    library.PPO = Policy
    library.common.vec_env.DummyVecEnv = lambda makers: [maker() for maker in makers]
    for module in (library, library.common, library.common.vec_env):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    room = room_named("darkroom", size=3, horizon=6)
    shares: list[float] = []
    streams = make_source("ppo", {"n_steps": 8}).learn(room, room.goals[:2], 3, 4, 0, shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert streams.states.shape == (24, 6, 2)
    for learner in range(6):
        actions = streams.actions[:6, learner].tolist()
        seen = walk("darkroom", 3, room.goals[learner // 3], (1, 1), actions)
        after = [tuple(cell) for cell in streams.next_states[:6, learner].tolist()]
        assert list(zip(after, streams.rewards[:6, learner].tolist(), strict=True)) == seen
    assert (streams.states[::6] == 1).all() and streams.dones[5::6].all() and streams.dones.sum() == 24
    assert [policy_options["n_steps"] for policy_options in policies] == [8, 8] and policies[0]["seed"] != policies[1][
        "seed"
    ]


def test_the_recorder_keeps_the_true_last_state():
    room = room_named("darkroom", size=4, horizon=3)
    steps: list[str] = []
    recorders = [Recorder(RoomEnv(room, goal), lambda: steps.append("one")) for goal in ((3, 3), (3, 2))]
    for recorder in recorders:
        for _ in range(3):
            recorder.reset()
            for action in (np.int64(0), 2, 2):
                recorder.step(action)
    streams = stacked([recorder.recorded(6) for recorder in recorders])
    assert len(steps) == 18
    assert streams.states[:, 0].tolist() == [[2, 2], [3, 2], [3, 3]] * 2
    assert streams.next_states[:, 1].tolist() == [[3, 2], [3, 3], [3, 3]] * 2
    assert streams.rewards.T.tolist() == [[0, 1, 1] * 2, [1, 0, 0] * 2]
    assert streams.actions.T.tolist() == [[0, 2, 2] * 2] * 2
    assert streams.dones.T.tolist() == [[False, False, True] * 2] * 2
