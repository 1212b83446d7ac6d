"""`keepmap compressors`: the table, the picture and what it refuses, with an agent that attends to rewards."""

import os
import re
from types import SimpleNamespace

import pytest
import torch

from keepmap.agents.compressor import History, compressors
from keepmap.cli import main
from keepmap.commands import compressors as command


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[History, torch.Tensor]]:
    """The histories and states for which the agent's attention was computed."""
    histories: list[tuple[History, torch.Tensor]] = []

    def attention(history: History, query_states: torch.Tensor) -> torch.Tensor:
        histories.append((history, query_states))
        return 0.01 + history.rewards

    monkeypatch.setattr(command, "load_agent", {"tiny": SimpleNamespace(attention=attention)}.__getitem__)
    return histories


def test_the_command_as_it_stands(tmp_path, monkeypatch, capsys, questions) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compressors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "120 transitions of optimistic in darkroom 9x9, goal (7, 2), seed 0"
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split() for line in lines if re.search(r"\d%", line)}
    assert set(rows) == set(compressors())
    rewarded = int(lines[1].split()[0])
    assert 20 < rewarded < 140
    assert rows["recency"][1:6] == ["keep_recent=10", "10", "91.7%", "9", f"10/{rewarded}"]
    assert rows["uniform"][2:5] == ["10", "91.7%", "119"]
    assert rows["threshold"][1:4] == ["max_keep=10", "3", "97.5%"]
    share = 10 * 1.01 / (1.2 + rewarded)
    assert rows["attention"][-2:] == [f"10/{rewarded}", f"{share:.1%}"]
    assert lines[-1] == f"Saved what each keeps to: {os.path.join('figs', 'compression', 'kept_transitions.png')}"
    assert os.listdir("figs/compression") == ["kept_transitions.png"]
    ((history, query),) = questions
    assert history.valid.shape == (1, 120)
    assert query.tolist() == [[4, 4]], "after eight episodes the agent stands in the centre again"


def test_a_page_has_the_history_step_by_step(tmp_path, capsys, questions) -> None:
    arguments = ["compressors", "--n_transit", "30", "--output_dir", str(tmp_path), "--report"]
    assert main(arguments) == 0
    page = (tmp_path / "report.html").read_text()
    assert '"rewards": [' in page and capsys.readouterr().out.endswith(f"Report saved to: {tmp_path}/report.html\n")
    (tmp_path / "report.html").write_text("mine")
    (tmp_path / "kept_transitions.png").unlink()
    assert main(arguments) == 2 and "is not a report of keepmap's" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["report.html"], "nothing is drawn where the page has no place"


def test_the_history_is_real_and_cut_in_the_middle_of_an_episode(tmp_path, capsys, questions) -> None:
    arguments = ["--goal", "(0, 1)", "--n_transit", "33", "--target_length", "40", "--format", "svg", "--seed", "2"]
    assert main(["compressors", *arguments, "--output_dir", str(tmp_path)]) == 0
    assert os.listdir(tmp_path) == ["kept_transitions.svg"]
    assert main(["compressors", *arguments, "--n-transit", "33", "--output_dir", str(tmp_path)]) == 2
    ((history, query),) = questions
    assert torch.equal(query[0], history.next_states[0, -1]), "no episode has just ended"
    assert torch.equal(history.states[0, 1:20], history.next_states[0, :19])
    on_goal = (history.next_states[0] == torch.tensor([0, 1])).all(1)
    assert torch.equal(history.rewards[0] != 0, on_goal)
    kept = [line.split()[2] for line in capsys.readouterr().out.splitlines() if "target_length=40" in line]
    assert set(kept) == {"33"}, "a length above the history's keeps all"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--goal 9,9", "got (9, 9)"),
        ("--goal here", 'expected --goal to be a cell as x,y, for example 7,2, got "here"'),
        ("--n_transit 0", "expected --n_transit to be an integer of 1 or more, got 0"),
        (f"--n_transit {10**30}", "expected --n_transit to be an integer of 9223372036854775807 or less"),
        ("--n_transit 10000000", "the attention to 10,000,000 transitions would take 4.26 PiB of memory, and"),
        ("--target_length 0", "expected --target_length to be an integer of 1 or more, got 0"),
        ("--seed -1", "expected --seed to be an integer of 0 or more, got -1"),
        ("--format jpeg", 'the format "jpeg" is not supported'),
        ("--output_dir file", "cannot write into the folder file"),
        ("--target 3", 'did you mean "--target_length"'),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capfd, questions, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["compressors", *arguments.split()]) == 2
    out, error = capfd.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert os.listdir() == ["file"]
