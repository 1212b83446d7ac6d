"""Which checkpoint is meant: of a run, of a folder of runs, of a name."""

import os
from pathlib import Path

import pytest

from keepmap.agents.checkpoints import (
    EMBEDDED,
    find_checkpoint,
    load_tensors,
    newest_checkpoint,
    newest_run,
    read_checkpoint,
    run_of,
)
from keepmap.errors import ModelError
from tests.agents.checkpoint_folders import write_agent


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("runs")


def test_the_checkpoint_of_the_most_updates_is_the_newest(runs: Path) -> None:
    assert newest_checkpoint(runs / "none") is None
    for step in (9, 100, 20):
        write_agent(runs / "a", step=step)
    (runs / "a" / "ckpt-x").mkdir()
    assert newest_checkpoint(runs / "a") == runs / "a" / "ckpt-100"
    assert find_checkpoint(runs / "a") == runs / "a" / "ckpt-100"
    assert find_checkpoint(runs / "a" / "ckpt-9") == runs / "a" / "ckpt-9"


def test_the_run_that_was_written_last_is_the_newest(runs: Path) -> None:
    assert newest_run() is None
    for name, step, age in (("b", 3, 50), ("a", 900, 100), ("c", 7, 200)):
        run = write_agent(runs / name, step=step)
        os.utime(run / f"ckpt-{step}", (1e9 - age, 1e9 - age))
    (runs / "empty").mkdir()
    assert newest_run() == runs / "b"
    os.utime(runs / "c" / "ckpt-7", (1e9, 1e9))
    assert newest_run() == newest_run(runs) == runs / "c"


def test_results_go_to_the_run(runs: Path) -> None:
    write_agent(runs / "a")
    assert run_of(EMBEDDED) is None
    assert run_of("runs/a/ckpt-10") == runs / "a"
    os.rename("runs/a/ckpt-10", "mine")
    assert run_of("mine") == Path("mine")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no agent at x: no such folder; train one"),
        (lambda path: path.mkdir(), "no agent at x: no checkpoint in it; train one"),
        (lambda path: path.write_text(""), "no agent at x: a file; train one"),
    ],
)
def test_where_there_is_none_is_one_line(runs: Path, make: object, message: str) -> None:
    make(Path("x"))  # type: ignore[operator]
    with pytest.raises(ModelError) as refused:
        find_checkpoint("x")
    assert str(refused.value).startswith(message)


def test_what_is_written_is_read(runs: Path) -> None:
    checkpoint = read_checkpoint(find_checkpoint(write_agent(runs / "a", step=7)))
    assert (checkpoint.step, checkpoint.config["grid_size"], checkpoint.facts["seconds"]) == (7, 3, 0.0)
    assert {tuple(goal) for goal in checkpoint.facts["train"] + checkpoint.facts["held_out"]} == {
        (x, y) for x in range(3) for y in range(3)
    }
    assert load_tensors(checkpoint)["head.bias"].shape == (5,)
