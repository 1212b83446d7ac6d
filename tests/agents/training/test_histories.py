"""Histories as a configuration asks for them."""

from dataclasses import replace

import pytest

from keepmap.agents.collection.dataset import open_histories
from keepmap.agents.collection.own import write_histories
from keepmap.agents.config import Config
from keepmap.agents.training.histories import check_histories, collect_configured, histories_missing
from keepmap.errors import InputError

SMALL = {"grid_size": 3, "horizon": 6, "n_stream": 2, "n_episodes": 3, "alg": "q_learning", "source_lr": 0.25}


def test_what_is_collected_is_what_was_asked_for(tmp_path):
    config = Config.from_dict({**SMALL, "traj_dir": str(tmp_path / "data"), "split": "1/3", "alg_seed": 5})
    collected = collect_configured(config)
    assert collected.path == config.histories_path() and collected.steps == 6 * 2 * 3 * 6
    histories = open_histories(collected.path)
    check_histories(config, histories)
    assert (histories.source, histories.seed, histories.n_learners, histories.n_steps) == ("q_learning", 5, 2, 18)
    assert histories.options["learning_rate"] == 0.25
    assert set(histories.goals) == set(config.goal_split().train)
    check_histories(replace(config, n_episodes=None, source_lr=None, lr=0.1), histories)
    for change, text in (
        ({"n_stream": 3}, "with n_stream 2, and the configuration asks for 3"),
        ({"n_episodes": 4}, "with n_episodes 3, and"),
        ({"alg_seed": 6}, "with alg_seed 5, and"),
        ({"source_lr": 0.5}, "with learning_rate 0.25, and the configuration asks for 0.5"),
        ({"alg": "optimistic", "source_lr": None}, "with alg q_learning, and"),
        ({"horizon": 7, "max_reward": 7.0}, "with room DarkRoom(size=3, horizon=6)"),
        ({"split": "0/3"}, "goals that the split 0/3 of seed 0 does not train on"),
        ({"split": "all"}, "lacks 3 goals"),
    ):
        with pytest.raises(InputError) as refused:
            check_histories(replace(config, **change), histories)
        assert text in str(refused.value)


def test_the_sources_usual_episodes(tmp_path):
    config = Config.from_dict({"grid_size": 2, "n_stream": 1, "traj_dir": str(tmp_path)})
    assert len(collect_configured(config).returns) == 16


def test_a_file_of_ones_own_is_held_to_its_room_and_its_goals_alone(tmp_path):
    values = {**SMALL, "traj_dir": str(tmp_path), "split": "1/3"}
    theirs = open_histories(collect_configured(Config.from_dict(values)).path)
    some = {goal: theirs.read(at, learners=slice(0, 1)) for at, goal in enumerate(theirs.goals[:2])}
    own = write_histories(tmp_path / "own.hdf5", some, size=3, horizon=6)
    config = Config.from_dict({"grid_size": 3, "horizon": 6, "split": "1/3", "histories": str(own.path)})
    check_histories(config, own)
    assert config.histories_path() == own.path and not histories_missing(config)
    assert config.run_folder().name == "AD-darkroom-3x3x6-seed0-1of3-own"
    for change, text in (
        ({"split": "0/3"}, "goals that the split 0/3 of seed 0 does not train on"),
        ({"horizon": 7, "max_reward": 7.0}, "with room DarkRoom(size=3, horizon=6)"),
    ):
        with pytest.raises(InputError) as refused:
            check_histories(replace(config, **change), own)
        assert text in str(refused.value)
