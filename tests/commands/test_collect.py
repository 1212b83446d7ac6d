"""`keepmap collect` as users type it: what it writes, what it says, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from keepmap.agents.collection.dataset import NAMES, open_histories
from keepmap.agents.collection.sources.optimistic import Optimistic
from keepmap.agents.environments import room_named
from keepmap.agents.environments.goals import split_named
from keepmap.cli import main
from keepmap.commands import progress
from tests.forked import python

REPOSITORY = Path(__file__).parents[2]


def collect(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python("-W", "error", str(REPOSITORY / "collect.py"), *arguments, cwd=cwd)


def test_the_command_as_it_stands(tmp_path):
    done = collect(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "datasets" / "history_darkroom_optimistic_alg-seed0.hdf5"
    lines = done.stdout.splitlines()
    assert lines.pop(0) == "Collecting darkroom 9x9 with optimistic"
    assert lines[0] == "  73 goals, 100 learners each, 16 episodes of 20 steps"
    assert lines.pop(1) == f"Wrote {path.relative_to(tmp_path)}"
    assert lines[1].startswith("  Size: ") and lines[1].endswith(" MB, 2,336,000 steps")
    assert lines[2] == "  Goals: 73 for training, 8 held out (nothing of them is in the file)"
    assert lines[3].startswith("  Mean return: 2.") and lines[3].endswith("16.47 in the last; optimum 16.47")
    assert lines[4].startswith("  Time: ") and len(lines) == 5
    assert max(map(len, lines)) <= 80
    histories = open_histories(path)
    assert (len(histories), histories.n_steps, histories.n_learners) == (73, 320, 100)
    assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}.run"]


@pytest.mark.parametrize("split", ["seed", "0/9", "8/9"])
def test_nothing_of_a_held_out_goal_is_in_the_file(tmp_path, monkeypatch, capsys, split):
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "--split", split, "--split_seed", "3", "--learners", "4", "--out", "h.hdf5"]) == 0
    room = room_named("darkroom")
    parts = split_named(split, room.goals, 3)
    histories = open_histories("h.hdf5")
    assert set(histories.goals) == set(parts.train)
    assert split_named(histories.split, room.goals, histories.split_seed) == parts
    with h5py.File("h.hdf5") as file:
        assert {int(key) for key in file} == {room.index(goal) for goal in parts.train}
        assert {tuple(goal) for goal in file.attrs["goals"].tolist()} == set(parts.train)
        for key in file:
            # Every reward was given on the group's own goal, so that none was given on a held-out one.
            group = {name: file[key][name][:] for name in NAMES}
            rewarded = {tuple(cell) for cell in group["next_states"][group["rewards"] == 1].tolist()}
            assert rewarded == {room.goals[int(key)]}
            assert not rewarded & set(parts.held_out)
            np.testing.assert_array_equal(
                group["rewards"] == 1, (group["next_states"] == room.goals[int(key)]).all(axis=2)
            )


def test_the_same_command_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for environment in ("darkroom", "keepmap/DarkKeyToDoor-9x9-v0"):
        small = ("--environment", environment, "--size", "3", "--horizon", "6", "--learners", "2", "--episodes", "3")
        for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
            assert main(["collect", *small, "--seed", seed, "--out", name, "--overwrite"]) == 0
        content = {name: Path(name).read_bytes() for name in "abc"}
        assert content["a"] == content["b"] != content["c"]


def test_options_reach_the_source_and_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ("--size", "4", "--learners", "2", "--episodes", "5", "--split", "all", "--source", "q_learning")
    assert main(["collect", *small, "--set", "epsilon=0.5", "discount=0.8"]) == 0
    histories = open_histories("datasets/history_darkroom-4x4_q_learning_alg-seed0_all.hdf5")
    assert histories.options["epsilon"] == 0.5 and histories.options["discount"] == 0.8
    assert (histories.source, histories.split, len(histories), histories.n_steps) == ("q_learning", "all", 16, 100)
    assert "  Goals: 16 for training, 0 held out\n" in capsys.readouterr().out


def test_lines_say_how_far_it_is_where_stderr_is_no_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    small = ("--size", "3", "--learners", "1", "--episodes", "2", "--split", "all")
    assert main(["collect", *small, "--out", str(tmp_path / "h.hdf5")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines and lines[-1].startswith("Steps: 100 % after 0:00:0") and lines[-1].endswith("0:00:00 left")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--environment dark_rom", 'unknown environment "dark_rom", did you mean'),
        (
            "--source dqn",
            'unknown source "dqn" as --source, known: keeper, optimistic, ppo, q_learning, rmax, seeker, ucb',
        ),
        ("--source q_learning --set epsilom=1", 'did you mean "epsilon"?'),
        ("--set know_moves", 'expected name=value, got the setting "know_moves"'),
        ("--split 9/9", "expected --split to be 0/9 to 8/9, counted from 0, got 9/9"),
        ("--split test", 'expected --split to be guide, all, or 0/9 for the first of nine folds, got "test"'),
        ("--learners 0", "expected --learners to be an integer of 1 or more, got 0"),
        ("--episodes 0", "expected --episodes to be an integer of 1 or more, got 0"),
        ("--seed -1", "expected --seed to be an integer of 0 or more, got -1"),
        (f"--seed {2**63}", "expected --seed to be an integer of 9223372036854775807 or less, got"),
        (f"--split_seed {2**70}", "expected --split_seed to be an integer of 9223372036854775807 or less, got"),
        ("--size 1", "expected --size to be 2 to 255 cells, got 1"),
        ("--horizon 0", "expected --horizon to be 1 step or more, got 0"),
        ("--learner 3", 'unknown option "--learner" of collect, did you mean "--learners"?'),
        ("--out .", "expected --out to be the name of a file, got the folder ."),
        ("--out file/x.hdf5", "cannot write into the folder file"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    assert main(["collect", *arguments.split()]) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert os.listdir() == ["file"]


def test_an_error_in_a_process_is_one_line_and_exit_code_2(tmp_path):
    done = collect(tmp_path, "--environment", "maze")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('error: unknown environment "maze", known: ')
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_the_same_command_goes_on_and_says_where_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Optimistic, "at_once", 2)
    learn, calls = Optimistic.learn, []

    def stops(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return learn(*arguments)

    words = ["collect", "--size", "3", "--horizon", "4", "--learners", "2", "--episodes", "3", "--out", "h.hdf5"]
    with monkeypatch.context() as patch:
        patch.setattr(Optimistic, "learn", stops)
        assert main(words) == 130
    assert main(["runs"]) == 0
    shown = capsys.readouterr().out.splitlines()[-2:]
    assert shown == ["h.hdf5.run: collect, stopped at 3 of 8", f"  keepmap {' '.join(words)}"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "\n  Goes on: the histories of 3 of 8 goals are there already\nWrote h.hdf5\n" in out
    assert main(words) == 0
    again = capsys.readouterr().out
    assert again.splitlines()[2] == "Finished already: h.hdf5" and "Time:" not in again
    assert out.splitlines()[-4:-1] == again.splitlines()[-3:]
    assert main([*words, "--seed", "1"]) == 2
    assert capsys.readouterr().err == (
        "error: h.hdf5.run holds another run: --seed is 0 there and 1 here; give --overwrite to replace it, or another "
        "--out\n"
    )
    assert main([*words, "--seed", "1", "--overwrite"]) == 0 and open_histories("h.hdf5").seed == 1


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on file sizes")
def test_a_full_disk_leaves_the_earlier_file(tmp_path):
    """A limit on the size of files stands for the full disk; HDF5 itself would crash at it."""
    (tmp_path / "h.hdf5").write_text("the earlier file")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from keepmap.cli import main; sys.exit(main(['collect', '--learners', '2', '--out', 'h.hdf5', '--overwrite']))"
    )
    done = python("-c", code, cwd=tmp_path)
    block = "h.hdf5.run/blocks/goals_00000-00080.hdf5"
    assert (done.returncode, done.stderr) == (2, f"error: cannot write {block}: File too large\n")
    assert (tmp_path / "h.hdf5").read_text() == "the earlier file"
    assert sorted(os.listdir(tmp_path)) == ["h.hdf5", "h.hdf5.run"] and not list(tmp_path.rglob("*.part"))
