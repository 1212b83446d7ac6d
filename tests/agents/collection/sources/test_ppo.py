"""PPO as a source: every step of whole episodes is kept, whatever the policy, and a missing library is one line."""

import sys
import types

import numpy as np
import pytest

from keepmap.agents.collection.source import make_source
from keepmap.agents.collection.sources.ppo import Recorder, stacked
from keepmap.agents.environments import room_named
from keepmap.agents.environments.single import RoomEnv
from keepmap.errors import InputError
from tests.reference.rooms import walk


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
