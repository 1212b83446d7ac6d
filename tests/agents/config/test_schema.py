"""A configuration as a value: one spelling, names of folders and files, derived sizes, JSON and back."""

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.agents.config import Config, load_config


def test_what_the_folders_and_files_are_called():
    def run(**values):
        return Config(**values).run_folder().as_posix()

    assert run() == "runs/AD-darkroom-seed0"
    assert run(split="0/9", train_seed=2) == "runs/AD-darkroom-seed0-0of9-train2"
    assert run(compressor={"name": "recency", "keep_recent": 4}) == "runs/AD-darkroom-seed0-recency-4"
    assert run(grid_size=5) == "runs/AD-darkroom-5x5-seed0"
    assert run(log_dir="here") == "here"
    assert Config().histories_path().as_posix() == "datasets/history_darkroom_optimistic_alg-seed0.hdf5"
    names = {
        Config(**values).histories_path().name
        for values in (
            {},
            {"grid_size": 5},
            {"horizon": 10},
            {"env": "darkroom_permuted", "horizon": 50},
            {"split": "0/9"},
            {"split": "1/9"},
            {"split": "all"},
            {"env_split_seed": 1},
            {"train_env_ratio": 0.5},
            {"alg_seed": 1},
            {"alg": "q_learning"},
        )
    }
    assert len(names) == 11


def test_the_highest_return_follows_from_the_room() -> None:
    assert [Config(**sizes).max_reward for sizes in ({}, {"horizon": 30}, {"env": "darkroom_hard"})] == [20, 30, 1]
    assert load_config("config/env/darkroom.yaml", ["horizon=30"]).max_reward == 30


def test_the_guides_split_is_read_under_its_old_name():
    for name in ("guide", "seed"):
        config = Config.from_dict({"split": name, "train_env_ratio": 0.5})
        assert config.as_dict()["split"] == "guide" and len(config.goal_split().train) == 40
    assert Config(split="guide") == Config() and hash(Config(split="guide")) == hash(Config())


def test_equal_meanings_have_one_spelling():
    spelled = Config(alg="PPO", env="keepmap/DarkRoom-9x9-v0", split="00/09")
    assert (spelled.alg, spelled.env, spelled.split) == ("ppo", "darkroom", "0/9")


def test_the_derived_sizes():
    config = Config(n_transit=10, tf_n_embd=32, tf_n_head=2)
    assert (config.slide(), Config().slide(), replace(config, n_slide=3).slide()) == (1, 15, 3)
    assert replace(config, n_transit=1).slide() == 1
    shape = config.shape()
    assert (shape.observation_sizes, shape.n_actions, shape.n_embd, shape.n_head) == ((9, 9), 5, 32, 2)
    assert Config(total_source_timesteps=20000).source_episodes() == 10
    assert Config(alg="ppo", source_lr=0.1, n_steps=8).source_options() == {"learning_rate": 0.1, "n_steps": 8}
    assert Config(train_env_ratio=0.5).goal_split().train == Config().goal_split().train[:40]


@settings(max_examples=25)  # each makes three configurations, and looks at their goals
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "lr": st.floats(1e-9, 10),
            "n_transit": st.integers(1, 10**6),
            "weight_decay": st.integers(0, 3),
            "split": st.sampled_from(["guide", "all", "3/9"]),
            "n_episodes": st.none() | st.integers(1, 99),
            "compressor": st.none() | st.just({"name": "threshold", "threshold": 0.2}),
        },
    )
)
def test_a_configuration_survives_json(values):
    config = Config.from_dict(values)
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert hash(config) == hash(Config.from_dict(values))
