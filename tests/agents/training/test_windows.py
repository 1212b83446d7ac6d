"""The windows that a training step sees begin where episodes do, and hold what the learners did."""

import numpy as np
import pytest
import torch

from keepmap.agents.collection.dataset import open_histories
from keepmap.agents.config import Config
from keepmap.agents.training.windows import load_windows
from keepmap.errors import InputError


def test_windows_begin_at_an_episode_s_first_step(config: Config) -> None:
    histories = open_histories(config.histories_path())
    windows = load_windows(histories, slice(0, 3), ())
    assert windows.actions.shape == (3 * len(histories), histories.n_steps)
    batch = windows.batch(np.random.default_rng(0), 50, 12, from_start=0.0)
    assert batch.states.shape == (50, 12, 2)
    assert batch.dones[:, 5::6].all() and batch.dones.sum() == 50 * 2
    rows = {tuple(row) for row in windows.actions.unfold(1, 12, 6).flatten(0, 1).tolist()}
    assert {tuple(row) for row in batch.actions.tolist()} <= rows
    starts = windows.batch(np.random.default_rng(0), 50, 12, from_start=1.0)
    assert {tuple(row) for row in starts.actions.tolist()} <= {tuple(row) for row in windows.actions[:, :12].tolist()}


def test_the_first_steps_and_the_last_episodes(config: Config) -> None:
    histories = open_histories(config.histories_path())
    whole = load_windows(histories, slice(0, 1), ())
    part = load_windows(histories, slice(0, 1), (), most_steps=20, last_episodes=2)
    assert torch.equal(part.actions, whole.actions[:, 6:18])


@pytest.mark.parametrize(
    ("learners", "options", "message"),
    [
        (slice(4, None), {}, "has 4 learners of each goal, too few"),
        (slice(0, 1), {"most_steps": 5}, "has 5 episodes of 6 steps"),
        (slice(0, 1), {"last_episodes": 6}, "has 5 episodes of 6 steps"),
    ],
)
def test_what_is_not_there(config: Config, learners: slice, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_windows(open_histories(config.histories_path()), learners, (), **options)


def test_a_held_out_goal_in_the_file_is_named(config: Config) -> None:
    histories = open_histories(config.histories_path())
    with pytest.raises(InputError, match="holds the held-out goal"):
        load_windows(histories, slice(0, 1), (histories.goals[3],))


def test_what_does_not_go_into_memory_is_not_read(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    histories = open_histories(config.histories_path())
    monkeypatch.setattr("keepmap.core.outside.memory.memory_there_is", lambda: 2000)
    monkeypatch.setattr(type(histories), "read", None)
    with pytest.raises(InputError, match=r"30 steps of 3 learners of .* would take .* KiB of memory.*; lower train_"):
        load_windows(histories, slice(0, 3), ())
