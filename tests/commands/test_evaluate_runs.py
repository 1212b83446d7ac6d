"""Evaluations that go on: what is recorded is not played again, and each evaluation has a folder of its own."""

import shutil
from pathlib import Path

import pytest

from keepmap.agents.acting.agent import Agent
from keepmap.agents.checkpoints import FACTS
from keepmap.agents.evaluation.returns import read_evaluation
from keepmap.cli import main
from tests.agents.checkpoint_folders import write_agent

COVERS = ("keepmap.commands.evaluate",)
TIMED = {"timings.json", "index.jsonl", "run.json", ".lock"}


@pytest.fixture
def folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three folds in a working folder, and the words that evaluate them."""
    monkeypatch.chdir(tmp_path)
    names = [str(write_agent(Path(f"fold{k}"), weights_seed=k, split=f"{k}/3")) for k in range(3)]
    return ["evaluate", "--checkpoint", *names, "--episodes", "4", "--copies", "2"]


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the agents that have played, in order; the second one is interrupted once."""
    played: list[str] = []
    play = Agent.play

    def counted(self: Agent, *arguments, **options):
        played.append(self.name)
        if len(played) == 2:
            raise KeyboardInterrupt
        return play(self, *arguments, **options)

    monkeypatch.setattr(Agent, "play", counted)
    return played


def results(folder: str) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name not in TIMED]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_same_command_plays_the_folds_that_are_left(folds, plays, capsys) -> None:
    assert main(folds) == 130
    assert capsys.readouterr().err == "Interrupted: 1 of 3 folds finished\n"
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0] == "evaluation_results: evaluate, stopped at 1 of 3"
    assert listed[1] == "  keepmap " + " ".join(folds)
    assert main(folds) == 0
    assert "\nGoes on: 1 of 3 folds are there already\n" in capsys.readouterr().out
    assert plays == [f"fold{k}/ckpt-10" for k in (0, 1, 1, 2)]
    gone_on = results("evaluation_results")
    shutil.rmtree("evaluation_results")
    assert main(folds) == 0
    calm = capsys.readouterr().out
    assert results("evaluation_results") == gone_on
    del plays[:]
    assert main([*folds, "--format", "svg"]) == 0
    assert plays == [], "a finished evaluation was played again"
    noted = "Finished already: the returns are there\n\n"
    assert capsys.readouterr().out.replace(noted, "").replace("svg", "png") == calm
    assert results("evaluation_results").keys() == {name.replace("png", "svg") for name in gone_on}
    assert main(["runs"]) == 0
    assert capsys.readouterr().out == "evaluation_results: evaluate, finished\n"


def test_a_damaged_record_is_played_again(folds, capsys) -> None:
    assert main(folds) == 0
    calm = results("evaluation_results")
    record = Path("evaluation_results/folds/fold_001.json")
    record.write_bytes(record.read_bytes().replace(b"0.0", b"1.0", 1))
    capsys.readouterr()
    assert main(folds) == 0
    assert "\nGoes on: 2 of 3 folds are there already\n" in capsys.readouterr().out
    assert results("evaluation_results") == calm


def test_evaluations_with_other_options_lie_beside_each_other(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_agent(Path("runs", "mine"))
    for options in ([], ["--copies", "2"], ["--goals", "all"], ["--copies", "2"], []):
        assert main(["evaluate", "--episodes", "2", *options]) == 0
    folders = sorted(path.name for path in run.iterdir())
    assert folders == ["ckpt-10", "evaluation", "evaluation-2", "evaluation-3"]
    assert [read_evaluation(run / name).copies for name in folders[1:]] == [1, 2, 1]
    write_agent(run, weights_seed=3)  # trained again
    assert main(["evaluate", "--episodes", "2"]) == 0
    assert f"Saved {run}/evaluation-4/evaluation.json" in capsys.readouterr().out
    assert main(["evaluate", "--episodes", "2", "--output_dir", str(run / "evaluation")]) == 2
    assert "evaluation holds another run: the checkpoint has changed; " in capsys.readouterr().err
    assert main(["evaluate", "--episodes", "2", "--overwrite"]) == 0
    assert f"Saved {run}/evaluation/evaluation.json" in capsys.readouterr().out


def test_a_folder_that_holds_a_training_takes_an_evaluation(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_agent(Path("runs", "mine"))
    (run / "run.json").write_text('{"of": "a training"}')
    assert main(["evaluate", "--episodes", "2"]) == 0
    assert (run / "run.json").read_text() == '{"of": "a training"}' and (run / "ckpt-10" / FACTS).is_file()


def test_what_an_older_keepmap_wrote_is_not_replaced(folds, capsys) -> None:
    Path("evaluation_results").mkdir()
    Path("evaluation_results/evaluation.json").write_text("of old")
    assert main(folds) == 0
    assert "Saved evaluation_results-2/evaluation.json" in capsys.readouterr().out
    assert main([*folds, "--output_dir", "evaluation_results"]) == 2
    assert "evaluation_results holds evaluation.json, and no run of keepmap's" in capsys.readouterr().err
    assert Path("evaluation_results/evaluation.json").read_text() == "of old"
