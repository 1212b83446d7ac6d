"""`keepmap train-surrogate`: what it prints, that its folder is what kvzap takes, and that the same command goes on."""

import json
from pathlib import Path

import pytest

from keepmap.cli import main
from keepmap.kv.surrogate_training import read_surrogate


@pytest.fixture
def command(tmp_path: Path, model_folder: Path, data_file: Path) -> dict[str, str]:
    folder = str(tmp_path / "out")
    return {"data_path": str(data_file), "model_name": str(model_folder), "out": folder, "max_length": "60"}


def run(options: dict[str, str], **others: object) -> int:
    """The command with these options, of which `others` win."""
    words = [word for name, value in (options | others).items() for word in (f"--{name}", str(value))]
    return main(["train-surrogate", *words])


def test_it_says_how_good_it_is_and_compare_takes_the_folder(tmp_path, command, data_file, capfd):
    assert run(command, held_out=0.7) == 0
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("Training a linear KVzap surrogate for ") and "on 1 texts of" in lines[0]
    assert lines[1] == f"  folder {tmp_path / 'out'}"
    trained = read_surrogate(tmp_path / "out")
    low, high = trained.interval
    assert lines[2] == (
        f"Explained variance on held-out texts: {trained.mean:.3f} (95 % interval {low:.3f} to {high:.3f}; "
        "n = 3 texts, 180 positions; trained on 1 texts, 60 positions)"
    )
    assert lines[3] == (
        "  the paper's, linear: Qwen3-8B 0.671, Llama-3.1-8B-Instruct 0.743, Qwen3-32B 0.629 (0.63 to 0.77 over both "
        "kinds)"
    )
    assert [line.partition(",")[0] for line in lines[4:6]] == ["  layer  0", "  layer  1"]
    assert err.splitlines()[-1] == "100% done, 0:00:00 left"
    words = lines[6].removeprefix("Use it: keepmap ").replace("…", str(data_file)).split()
    assert main([*words, "--max_samples", "1", "--no_visualize", "--output_dir", str(tmp_path / "compared")]) == 0
    results = json.loads((tmp_path / "compared" / "detailed_results.json").read_text())
    assert "kvzap" in results["configuration"]["methods"]


def test_the_same_command_reads_what_is_there_and_another_is_refused(command, capfd):
    assert run(command) == 0
    first = capfd.readouterr().out
    assert "too few texts for an interval" in first
    assert run(command) == 0
    again = capfd.readouterr().out.splitlines(keepends=True)
    assert again.pop(2) == f"Finished already: {command['out']}\n" and "".join(again) == first
    assert run(command, seed=1) == 2
    out, error = capfd.readouterr()
    assert error.endswith(
        "holds another run: --seed is 0 there and 1 here; give --overwrite to replace it, or another --out\n"
    )
    assert out == "", "it was not refused before it began"
    words = [word for name, value in (command | {"seed": 1}).items() for word in (f"--{name}", str(value))]
    assert main(["train-surrogate", *words, "--overwrite"]) == 0
    assert "Finished already" not in capfd.readouterr().out
    assert main(["runs", command["out"]]) == 0
    assert capfd.readouterr().out == f"{command['out']}: train-surrogate, finished\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 3}, "error: --epochs is for an MLP, and a linear surrogate is solved; leave it out"),
        ({"max_length": 300, "data_path": "long.jsonl"}, "--max_length "),
        ({"data_path": "none.jsonl"}, "no data file at none.jsonl"),
        ({"model_name": "nowhere/at/all"}, 'model "nowhere/at/all": no such'),
        ({"held_out": 2}, "expected --held_out to be a number in [0, 1], got 2.0"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, monkeypatch, command, options, message, capfd, unchecked):
    monkeypatch.chdir(tmp_path)
    Path("long.jsonl").write_text('{"text": "' + "a long text " * 20 + '"}\n{"text": "another"}\n')
    assert run(command, **options) == 2
    error = capfd.readouterr().err
    assert message in error and error.count("\n") == 1


def test_texts_that_are_too_short_are_named(tmp_path, command, capfd):
    path = tmp_path / "short.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("some words", "x", "other words")))
    assert run(command, data_path=path) == 0
    assert "  skipped: line 2 has fewer than 2 tokens\n" in capfd.readouterr().out
    words = [word for name, value in (command | {"data_path": path}).items() for word in (f"--{name}", str(value))]
    assert main(["train-surrogate", *words, "--strict"]) == 2
    assert "line 2 has fewer than 2 tokens; give longer texts, or leave --strict out" in capfd.readouterr().err
