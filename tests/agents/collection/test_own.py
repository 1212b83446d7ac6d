"""Learning histories of one's own arrays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import keepmap
from keepmap.agents.collection.own import write_histories
from keepmap.errors import InputError, KeepmapError, OutputError

SIZE = {"size": 3, "horizon": 4}
WALK = np.array([[0, 0], [0, 1], [0, 2], [0, 2]] * 5)
LED = np.array([[0, 1], [0, 2], [0, 2], [0, 2]] * 5)


def lives(**changed: object) -> dict[str, object]:
    parts: dict[str, object] = {
        "states": WALK,
        "actions": np.tile([3, 3, 4, 4], 5),
        "rewards": np.tile([0, 1, 1, 1], 5),
    }
    return {**parts, "next_states": LED, **changed}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    histories = write_histories(tmp_path / "own.hdf5", {(2, 2): lives(), (0, 2): lives()}, **SIZE)
    assert histories.goals == ((0, 2), (2, 2)) and (histories.source, histories.split) == ("own", "own")
    streams = histories[1]
    assert streams.states[:, 0].tolist() == WALK.tolist() and streams.next_states[:, 0].tolist() == LED.tolist()
    assert streams.actions[:4, 0].tolist() == [3, 3, 4, 4] and streams.rewards[:4, 0].tolist() == [0, 1, 1, 1]
    assert np.flatnonzero(streams.dones[:, 0]).tolist() == [3, 7, 11, 15, 19]


def test_what_was_collected_is_written_again(tmp_path: Path) -> None:
    collected = keepmap.collect("bandit", "ucb", learners=2, episodes=3, tasks=9, out=tmp_path / "bandit.hdf5")
    given = dict(zip(collected.goals, collected, strict=True))
    again = write_histories(tmp_path / "again.hdf5", given, collected.room)
    for old, new in zip(collected, again, strict=True):
        assert all(np.array_equal(getattr(old, name), getattr(new, name)) for name in vars(old))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected `histories` to be a dictionary from goals to arrays, got an empty one"),
        ({(3, 3): lives()}, "histories"),
        ({(0, 2): {"states": WALK}}, r"goal \(0, 2\) to have states, actions, rewards, next_states, got states"),
        (
            {(0, 2): lives(actions=[9] * 20)},
            "actions of goal .* whole numbers of 0 to 4, as in darkroom 3x3, got 9 to 9",
        ),
        ({(0, 2): lives(rewards=[0.5] * 20)}, "rewards of goal .* whole numbers of 0 to 255"),
        ({(0, 2): lives(rewards=[float("nan")] * 20)}, "rewards of goal .* whole numbers of 0 to 255"),
        ({(0, 2): lives(states=WALK + 3)}, "states of goal .* whole numbers of 0 to 2"),
        ({(0, 2): lives(states=WALK[:10])}, r"states of goal .* numbers of the shape \(T, n, 2\)"),
        ({(0, 2): lives(rewards=["a"] * 20)}, "rewards of goal .* numbers of the shape"),
        ({(0, 2): {name: part[:6] for name, part in lives().items()}}, "whole episodes of 4 steps, got 6 steps"),  # type: ignore[index]
        ({(0, 2): lives(next_states=WALK)}, "to be the states of the step after it, got others at step 0"),
        ({(0, 2): lives(), (2, 2): {name: part[:8] for name, part in lives().items()}}, "as many steps and learners"),  # type: ignore[index]
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_histories(tmp_path / "own.hdf5", given, **SIZE)  # type: ignore[arg-type]
    assert not [*tmp_path.iterdir()]


def test_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(OutputError, match="notes"):
        write_histories(tmp_path / "notes", {(0, 2): lives()}, **SIZE)
    with pytest.raises(KeepmapError, match="expected `path` to be the name of a file, got the folder"):
        write_histories(tmp_path, {(0, 2): lives()}, **SIZE)
    write_histories(tmp_path / "notes", {(0, 2): lives()}, **SIZE, overwrite=True)
    assert len(write_histories(tmp_path / "notes", {(0, 2): lives()}, **SIZE)) == 1


def test_streams_need_no_names(tmp_path: Path) -> None:
    histories = write_histories(tmp_path / "own.hdf5", {(0, 2): lives()}, **SIZE)
    forged = replace(histories[0], next_states=histories[0].states)
    with pytest.raises(InputError, match="got others at step 0"):
        write_histories(tmp_path / "own.hdf5", {(0, 2): forged}, **SIZE)
