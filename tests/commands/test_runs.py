"""`keepmap runs`: what it prints, and that what a file says is shown and never obeyed."""

from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.cli import main
from keepmap.core.runs.command import typing
from keepmap.core.runs.folder import RUN_FILE, RunFolder, read_run_file
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.records import write_record


def begin(folder: Path, *words: str) -> None:
    identity = Identity(verb="compare", options={}, versions={}, hashes={})
    with RunFolder(folder, identity, overwrite=False) as place, typing(words):
        place.begin(["a.json"], [])


def test_runs_and_the_commands_that_go_on(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    begin(tmp_path / "a", "keepmap", "compare", "--data_path", "my data.jsonl", "--overwrite")
    begin(tmp_path / "b")
    (tmp_path / "elsewhere").mkdir()
    assert main(["runs"]) == 0
    assert capfd.readouterr().out == (
        "a: compare, stopped at 0 of 1\n"
        "  keepmap compare --data_path 'my data.jsonl'\n"
        "b: compare, stopped at 0 of 1\n"
        "  it was called from Python; the same call goes on\n"
    )
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["runs", "../a"]) == 0
    assert f"  cd {tmp_path} && keepmap compare --data_path 'my data.jsonl'\n" in capfd.readouterr().out
    assert main(["runs"]) == 0
    assert capfd.readouterr().out == "No runs in .\n"


def test_a_folder_that_is_none_is_an_error(tmp_path, capfd):
    assert main(["runs", str(tmp_path / "nothing")]) == 2
    assert capfd.readouterr().err == (
        f"error: no folder at {tmp_path / 'nothing'}; name one that runs are in, or below\n"
    )


@pytest.mark.parametrize("words", [("rm", "-rf"), ("keepmap", "compare; rm -rf ~"), ("keepmap", "\x1b[31m\u202e")])
def test_what_a_file_says_is_one_quoted_word_each(tmp_path, capfd, words):
    begin(tmp_path / "a", "keepmap", "compare")
    file = read_run_file(tmp_path / "a")
    assert file is not None
    forged = replace(file, command=words, cwd=str(Path.cwd()))
    write_record(tmp_path / "a" / RUN_FILE, file.run, forged.document())
    assert main(["runs", str(tmp_path)]) == 0
    line = capfd.readouterr().out.splitlines()[-1]
    assert line.isprintable() and line.startswith("  keepmap ")
    assert "rm -rf" not in line or "'compare; rm -rf ~'" in line
