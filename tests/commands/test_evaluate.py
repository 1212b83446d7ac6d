"""`keepmap evaluate` as users type it: what it writes, what it says, and what it refuses."""

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.checkpoints import newest_run, run_of
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.evaluation.evaluate import evaluate
from keepmap.agents.evaluation.returns import read_evaluation
from keepmap.cli import main
from keepmap.commands import progress
from tests.agents.checkpoint_folders import write_agent
from tests.forked import python

REPOSITORY = Path(__file__).parents[2]
OF_RUN = {"run.json", "index.jsonl", "folds/fold_000.json", ".lock"}
RESULTS = {"evaluation.json", "learning_curve.png", "timings.json"} | OF_RUN


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one run."""
    monkeypatch.chdir(tmp_path)
    write_agent(tmp_path / "runs" / "AD-darkroom-seed0")
    return tmp_path


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_command_as_it_stands(place: Path) -> None:
    done = python("-W", "error", str(REPOSITORY / "evaluate.py"), "--episodes", "45", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    run = Path("runs/AD-darkroom-seed0")
    agent = load_agent(run)
    (goal,) = agent.held_out
    assert lines[0] == f"Checkpoint: {run}/ckpt-10 (the newest in runs)"
    assert lines[1] == f"Evaluation goals: ({goal[0]},{goal[1]})"
    assert lines[2] == "  darkroom 3x3, 45 episodes of 6 steps, 1 copy of each goal, seed 0"
    assert lines[3] == "  Context: the last 12 transitions"
    assert lines[5].split() == ["mean", "reward", "optimum", "share", "last", "20", "solved"]
    out = run / "evaluation"
    evaluation = read_evaluation(out)
    last, share = evaluation.last[0], evaluation.mean / evaluation.optimum[0]
    assert lines[7].startswith(f"Env 0 (goal={goal})  ")
    assert lines[7].split()[-5:] == [
        f"{evaluation.mean:.2f}",
        f"{evaluation.optimum[0]:.2f}",
        f"{share:.1%}",
        f"{last:.2f}",
        "no",
    ]
    assert (
        f"Overall mean reward: {evaluation.mean:.2f}, n=1 ({share:.1%} of the optimum {evaluation.optimum[0]:.2f})"
        in lines
    )
    assert any(line.startswith("  of episodes 21 to 40: ") for line in lines)
    assert any(line.startswith("Std deviation: ") for line in lines)
    assert "Solved: 0 of 1 goals (last 20 episodes at 90 % of the optimum or more)" in lines
    assert lines[-2:] == [f"Saved {out}/evaluation.json", f"Saved {out}/learning_curve.png"]
    assert max(map(len, lines)) <= 80
    same = evaluate(agent, agent.held_out, episodes=45)
    assert evaluation.document() == same.document() | {"options": evaluation.options}
    assert sorted(path.name for path in run.iterdir()) == ["ckpt-10", "evaluation"]
    assert files_in(out).keys() == RESULTS
    assert {*json.loads((out / "timings.json").read_text())} == {"seconds", "steps"}


def test_the_same_command_gives_the_same_bytes(place: Path) -> None:
    for folder in ("a", "b"):
        arguments = ["evaluate", "--goals", "all", "--episodes", "3", "--format", "png,svg,pdf"]
        assert main([*arguments, "--output_dir", folder]) == 0
    first, second = files_in(place / "a"), files_in(place / "b")
    assert first.keys() == RESULTS | {f"learning_curve.{suffix}" for suffix in ["svg", "pdf"]}
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"timings.json", "index.jsonl", "run.json"}


def test_an_earlier_evaluation_is_replaced_where_that_is_asked_for(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "out"
    options = ["--output_dir", "out", "--episodes", "2"]
    assert main(["evaluate", "--goals", "all", "--format", "svg,png", *options]) == 0
    (folder / "notes.txt").write_text("mine")
    before = files_in(folder)
    assert main(["evaluate", "--goals", "0,0", *options, "--copies", "2"]) == 2
    assert capsys.readouterr().err == (
        "error: out holds another run: --goals is all there and 0,0 here; give --overwrite to replace it, or another "
        "--output_dir\n"
    )
    assert files_in(folder) == before
    assert main(["evaluate", "--goals", "0,0", *options, "--copies", "2", "--overwrite"]) == 0
    assert files_in(folder).keys() == RESULTS | {"notes.txt"}
    evaluation = read_evaluation(folder / "evaluation.json")
    assert (evaluation.goals, evaluation.copies, evaluation.options["copies"]) == (((0, 0),), 2, 2)


@pytest.mark.parametrize("goals", [["1,0 2,2"], ["1,0", "2,2"], ["(1, 0) (2, 2)"], ["(1,0)", "(2,2)"]], ids=" ".join)
def test_goals_are_read_as_people_write_them(place: Path, goals: list[str]) -> None:
    assert main(["evaluate", "--goals", *goals, "--episodes", "1"]) == 0
    assert read_evaluation("runs/AD-darkroom-seed0/evaluation").goals == ((1, 0), (2, 2))


def test_sides_of_the_split(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent = load_agent("runs/AD-darkroom-seed0")
    for name, side in (("train", agent.train), ("all", agent.room.goals), ("held_out", agent.held_out)):
        assert main(["evaluate", "--goals", name, "--episodes", "1", "--output_dir", name]) == 0
        assert read_evaluation(name).goals == side
        noted = f"Note: {len(agent.train)} of these goals were in the training\n" in capsys.readouterr().out
        assert noted == (name != "held_out")


def test_folds_make_one_evaluation(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(write_agent(Path(f"fold{k}"), weights_seed=k, split=f"{k}/3")) for k in range(3)]
    given = ["--episodes", "40", "--copies", "2", "--seed", "3", "--compressor", "recency", "--set", "keep_recent=4"]
    assert main(["evaluate", "--checkpoint", *names, *given]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Checkpoints, each on its own held-out goals:\n  fold0/ckpt-10\n")
    assert len(re.findall(r"^Env \d \(goal=", out, re.M)) == 9
    assert re.search(r"^  of episodes 21 to 40: \d\.\d\d \[\d\.\d\d, \d\.\d\d\], n=9 \(", out, re.M)
    evaluation = read_evaluation("evaluation_results/evaluation.json")
    assert evaluation.goals == load_agent(names[0]).room.goals
    assert evaluation.options["protocol"] == "k_fold"
    wanted = evaluate(names, episodes=40, copies=2, seed=3, compressor=RecencyCompressor(4))
    assert (evaluation.all_returns == wanted.all_returns).all()


def test_the_compressor_of_the_training_acts_unless_told_otherwise(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_agent(place / "short", compressor={"name": "recency", "keep_recent": 3})
    agent = load_agent("short")
    for folder, options, acting, text in (
        ("evaluation", [], RecencyCompressor(3), "RecencyCompressor(keep_recent=3) of the last 12 transitions"),
        (
            "evaluation-2",
            ["--compressor", "none"],
            None,
            "the last 12 transitions (trained with RecencyCompressor(keep_recent=3))",
        ),
        (
            "evaluation-3",
            ["--compressor", "recency", "--set", "keep_recent=2"],
            RecencyCompressor(2),
            "RecencyCompressor(keep_recent=2) of the last 12 transitions (trained with",
        ),
    ):
        assert main(["evaluate", "--checkpoint", "short", "--goals", "all", "--episodes", "4", *options]) == 0
        evaluation = read_evaluation(f"short/{folder}")
        wanted = evaluate(agent, agent.room.goals, episodes=4, compressor="none" if acting is None else acting)
        assert (evaluation.all_returns == wanted.all_returns).all()
        assert f"Context: {text}" in " ".join(capsys.readouterr().out.split())


def test_the_newest_run_is_the_default(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, step, age in (("b", 3, 50), ("a", 900, 100), ("c", 7, 200)):
        run = write_agent(place / "runs" / name, step=step)
        os.utime(run / f"ckpt-{step}", (1e9 - age, 1e9 - age))
    (place / "runs" / "empty").mkdir()
    assert newest_run() == Path("runs/AD-darkroom-seed0")
    os.utime("runs/AD-darkroom-seed0/ckpt-10", (1e9 - 300, 1e9 - 300))
    assert newest_run() == Path("runs/b")
    write_agent(place / "runs" / "b", step=20)
    assert main(["evaluate", "--episodes", "1"]) == 0
    assert "Checkpoint: runs/b/ckpt-20 (the newest in runs)\n" in capsys.readouterr().out
    assert newest_run(place / "none") is None


def test_without_a_run_the_embedded_agent_is_evaluated(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = replace(load_agent("runs/AD-darkroom-seed0"), name="tiny")
    shutil.rmtree("runs")
    calls = []

    def load(name: str) -> Agent:
        calls.append(name)
        return agent

    monkeypatch.setattr("keepmap.agents.evaluation.protocol.load_agent", load)
    assert main(["evaluate", "--episodes", "2"]) == 0
    assert main(["evaluate", "--checkpoint", "tiny", "--episodes", "2", "--output_dir", "x"]) == 0
    assert calls == ["tiny", "tiny"]
    out = capsys.readouterr().out
    assert out.startswith("Checkpoint: tiny (the embedded agent: no checkpoint in runs)\n")
    assert "Saved evaluation_results/evaluation.json\n" in out and "\nCheckpoint: tiny\n" in out
    assert Path("x/evaluation.json").read_bytes() == Path("evaluation_results/evaluation.json").read_bytes()


def test_results_go_to_the_run_of_a_checkpoint(place: Path) -> None:
    assert run_of("tiny") is None
    assert run_of("runs/AD-darkroom-seed0/ckpt-10") == Path("runs/AD-darkroom-seed0")
    os.rename("runs/AD-darkroom-seed0/ckpt-10", "mine")
    assert run_of("mine") == Path("mine")


def test_lines_say_how_far_it_is_where_stderr_is_no_terminal(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert main(["evaluate", "--episodes", "2"]) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("Steps: 100 % after 0:00:0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--checkpoint none", "no agent at none: no such folder; train one with keepmap train"),
        ("--checkpoint runs", "no agent at runs: no checkpoint in it"),
        ("--goals 3,0", "expected --goals to be one of darkroom of size 3, (0, 0) to (2, 2), got (3, 0)"),
        ("--goals 1", "got (1,)"),
        ("--goals x,y", 'expected --goals to be held_out, train, all or cells as "4,2 5,6", got "x,y"'),
        ("--goals held_out 1,1", 'expected --goals to be held_out, train, all or cells as "4,2 5,6", got "held_out"'),
        ("--goals 1,1 1,1", "the goal (1, 1) was named twice; use --copies to learn"),
        ("--episodes 0", "expected --episodes to be an integer of 1 or more, got 0"),
        ("--copies 0", "expected --copies to be an integer of 1 or more, got 0"),
        ("--goals", "expected --goals to be one or more, got none"),
        ("--seed -1", "expected --seed to be an integer of 0 or more, got -1"),
        ("--compressor recent", 'unknown compressor "recent" as --compressor, did you mean "recency"?'),
        ("--compressor recency --set keep=3", 'unknown option "keep" of the compressor recency'),
        ("--compressor recency --set keep_recent=0", "expected `keep_recent` to be an integer of 1 or more, got 0"),
        ("--compressor recency --set keep_recent", 'expected name=value, got the setting "keep_recent"'),
        ("--set keep_recent=3", "keep_recent=3 in --set needs a compressor; name it with --compressor"),
        ("--format gif", 'the format "gif" is not supported'),
        ("--output_dir file", "cannot write into the folder file"),
        ("--checkpoint all_goals", "has no held_out goals; name some with --goals, or use --goals all"),
        ("--checkpoint fold0 fold0", "is held out by fold0/ckpt-10 and by fold0/ckpt-10; folds must not share goals"),
        ("--checkpoint fold0 fold1", "no agent of 2 holds out the goal"),
        ("--checkpoint fold0 fold1 fold2 --goals all", "of each of 3 agents, got all; leave --goals out"),
        ("--checkpoints a", 'unknown option "--checkpoints" of evaluate, did you mean "--checkpoint"?'),
    ],
)
def test_bad_input_is_one_line(place: Path, capfd: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    (place / "file").write_text("")
    write_agent(Path("all_goals"), split="all")
    for k in range(3):
        write_agent(Path(f"fold{k}"), split=f"{k}/3")
    before = files_in(place)
    assert main(["evaluate", *arguments.split()]) == 2
    out, error = capfd.readouterr()
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert out == ""
    assert files_in(place) == before


@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_a_damaged_checkpoint_is_one_line(place: Path, capfd: pytest.CaptureFixture[str], damage: str) -> None:
    weights = Path("runs/AD-darkroom-seed0/ckpt-10/model.safetensors")
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "gone":
        weights.unlink()
    else:
        other = write_agent(place / "other", tf_n_embd=32)
        weights.write_bytes((other / "ckpt-10" / "model.safetensors").read_bytes())
    assert main(["evaluate"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "ckpt-10" in error
    assert "evaluation.json" not in {path.name for path in place.rglob("*")}


def test_a_failure_while_playing_leaves_the_earlier_results(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--episodes", "2"]) == 0
    before = files_in(place)

    def play(self: Agent, *arguments: object, **options: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(Agent, "play", play)
    capfd.readouterr()
    assert main(["evaluate", "--episodes", "3"]) == 130
    assert capfd.readouterr().err == "Interrupted: 0 of 1 fold finished\n"
    after = files_in(place)
    assert {name: after[name] for name in before} == before
    new = {f"runs/AD-darkroom-seed0/evaluation-2/{name}" for name in ("run.json", ".lock")}
    assert after.keys() == before.keys() | new


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on file sizes")
def test_a_full_disk_mixes_no_results(place: Path) -> None:
    """A limit on the size of files stands for the full disk: the new figure does not fit, the old one is gone."""
    assert main(["evaluate", "--episodes", "2", "--output_dir", "out"]) == 0
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from keepmap.cli import main\n"
        "sys.exit(main(['evaluate', '--episodes', '3', '--output_dir', 'out', '--overwrite']))"
    )
    done = python("-c", code, cwd=place)
    assert done.returncode == 2
    assert done.stderr == "error: cannot write out/learning_curve.png: File too large\n"
    assert files_in(place / "out").keys() == RESULTS - {"learning_curve.png"}
    assert read_evaluation("out/evaluation.json").episodes == 3


def test_many_goals_are_cut_in_the_table_and_whole_in_the_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_agent(place / "large", grid_size=11)
    assert main(["evaluate", "--checkpoint", "large", "--goals", "all", "--episodes", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "and 21 more, in evaluation.json" in lines and max(map(len, lines)) <= 80
    assert sum(line.startswith("Env ") for line in lines) == 100
    assert len(read_evaluation("large/evaluation").goals) == 121
