"""`keepmap`, `python -m keepmap` and the front doors in the root: one way to end, whatever happens."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import keepmap
from keepmap.cli import main, verbs
from keepmap.errors import InputError

ROOT = Path(__file__).parents[2]
VERB_DOORS = {
    "collect.py": "collect",
    "train.py": "train",
    "evaluate.py": "evaluate",
    "visualize_attention.py": "attention",
    "compare_compression_methods.py": "compare",
    "compression_strategies.py": "compressors",
}
SETUP_DOORS = {"quickstart.py": "quickstart.quickstart", "setup_visualization.py": "install.install_missing"}
COMMANDS = [["-m", "keepmap"], *([str(ROOT / door)] for door in (*VERB_DOORS, *SETUP_DOORS))]


def started(words: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, *words], env=variables, encoding="utf-8", timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def door(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a script of the root in this process, as `python NAME WORDS`. Returns its exit code."""
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / name), run_name="__main__")
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1].split("/")[-1])
def test_help_into_a_full_disk_and_into_a_closed_pipe(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = started([*command, "--help"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device; make room on the disk\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = started([*command, "--help"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")  # as of a program that SIGPIPE ends


@pytest.mark.parametrize(("name", "verb"), VERB_DOORS.items())
@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, ""),
        (InputError("`seed` is bad,\nas seed=3"), 2, "error: {seed} is bad, as {value}\n"),
    ],
)
def test_a_front_door_is_its_verb(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    verb: str,
    error: BaseException,
    code: int,
    line: str,
) -> None:
    called: list[str] = []

    def function(self: verbs.Verb):
        called.append(self.target)
        return lambda **arguments: (_ for _ in ()).throw(type(error)(*error.args))

    monkeypatch.setattr(verbs.Verb, "function", function)
    words = ["--data_path", "x"] if verb == "compare" else []
    has_seed = "seed" in {option.name for option in verbs.VERBS[verb].options()}
    shown = line.format(seed="--seed", value="--seed 3") if has_seed else line.format(seed="`seed`", value="seed=3")
    for run in (lambda: door(name, words, monkeypatch), lambda: main([verb, *words])):
        assert run() == code
        assert capsys.readouterr() == ("", shown)
    assert called == [verbs.VERBS[verb].target] * 2


@pytest.mark.parametrize(("name", "function"), SETUP_DOORS.items())
def test_a_setup_door_ends_as_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, function: str
) -> None:
    def raises(error: BaseException):
        return lambda arguments: (_ for _ in ()).throw(error)

    monkeypatch.setattr(f"keepmap.commands.setup.{function}", raises(KeyboardInterrupt()))
    assert door(name, [], monkeypatch) == 130
    monkeypatch.setattr(f"keepmap.commands.setup.{function}", raises(InputError("no\nroom")))
    assert door(name, [], monkeypatch) == 2
    assert capsys.readouterr() == ("", "error: no room\n")
    monkeypatch.setattr(f"keepmap.commands.setup.{function}", len)
    assert door(name, ["a", "b", "c"], monkeypatch) == 3


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert main([option]) == 0
    assert capsys.readouterr().out == f"keepmap {keepmap.__version__}\n"


def test_transformers_is_silenced_where_a_language_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    silenced: list[str] = []
    monkeypatch.setattr("keepmap.language_model.quiet_transformers", lambda: silenced.append("yes"))
    monkeypatch.setattr(verbs.Verb, "function", lambda self: lambda **arguments: None)
    for words in (["attention"], ["train"], ["methods"], ["study"]):
        assert main(words) == 0 and silenced == []
    for words in (["attention", "--model_name", "tiny"], ["compare", "--data_path", "x"]):
        assert main(words) == 0
    assert silenced == ["yes", "yes"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("sample-data --out={}", "expected --out to be a path, got ''"),
        ("collect --out={}", "expected --out to be a path, got ''"),
        ("compare --data_path={}", "expected --data_path to be a path, got ''"),
        ("evaluate --output_dir={}", "expected --output_dir to be a path, got ''"),
        ("sample-data --out={long}", "File name too long"),
        ("compare --data_path={long}", "File name too long"),
        ("train --config={long}", "File name too long"),
        ("evaluate --checkpoint={long}", "File name too long"),
        ("attention --data_path=x --model_name={long}", "File name too long"),
        ("sample-data --out=FIFO", "cannot write FIFO: it is a FIFO, not a file"),
        ("compare --data_path=FIFO", "cannot read the data file FIFO: it is a FIFO, not a file"),
        ("train --config=FIFO", "cannot read FIFO: it is a FIFO, not a file"),
    ],
)
def test_places_that_cannot_be_are_one_line(tmp_path, monkeypatch, capfd, words: str, line: str) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("FIFO")
    assert main(words.format("", long="x" * 300).split()) == 2
    output, errors = capfd.readouterr()
    assert output == "" and errors.startswith("error: ") and line in errors and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["FIFO"]
