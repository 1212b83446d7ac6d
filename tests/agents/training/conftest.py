"""A small room whose histories are collected in a moment."""

from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.agents.collection.collect import collect_histories
from keepmap.agents.collection.source import make_source
from keepmap.agents.config import Config


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A training of a second, with its histories collected."""
    folder = tmp_path_factory.mktemp("small")
    config = Config(
        grid_size=4,
        horizon=6,
        max_reward=6.0,
        n_stream=4,
        n_episodes=5,
        tf_n_embd=16,
        tf_n_layer=2,
        tf_n_head=2,
        tf_n_inner=32,
        n_transit=12,
        train_timesteps=12,
        train_batch_size=4,
        test_batch_size=4,
        num_warmup_steps=3,
        summary_interval=3,
        eval_interval=5,
        ckpt_interval=5,
        traj_dir=str(folder / "datasets"),
        log_dir=str(folder / "run"),
    )
    path = config.histories_path()
    path.parent.mkdir()
    collect_histories(
        config.room(), make_source("optimistic"), config.goal_split(), path, learners=4, episodes=5, seed=0
    )
    return config


@pytest.fixture
def config(small: Config, tmp_path: Path) -> Config:
    """The same, with a run folder of its own."""
    return replace(small, log_dir=str(tmp_path / "run"))
