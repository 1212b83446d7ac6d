"""`keepmap sample-data`: it writes the file and says so."""

import json
from pathlib import Path

import pytest

from keepmap.cli import main
from keepmap.commands.setup.sample_data import sample_data
from keepmap.kv.data.sample import sample_texts


def test_it_writes_the_sample_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.jsonl"
    assert sample_data(str(path), n_samples=2, seed=3) == path
    assert capsys.readouterr().out == f"Wrote 2 texts to {path}\n"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"source": "keepmap sample-data", "text": text} for text in sample_texts(2, 3)
    ]


def test_the_verb_is_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample-data", "--out", "a.jsonl", "--n-samples", "1"]) == 0
    assert capsys.readouterr().out == "Wrote 1 texts to a.jsonl\n"
    assert main(["sample-data", "--out", "none/a.jsonl"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1
