"""`python quickstart.py`: what it looks at, says and offers, and that it needs no terminal and no packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from keepmap.agents import acting
from keepmap.agents.config import Config
from keepmap.agents.training.histories import collect_configured
from keepmap.cli.guard import guarded
from keepmap.cli.verbs import VERBS
from keepmap.commands.setup import quickstart as module
from keepmap.commands.setup.dependencies import Dependency
from keepmap.errors import ModelError

REPOSITORY = Path(__file__).parents[3]


def run(arguments: list[str]) -> int:
    """What `quickstart.py` does with these arguments."""
    return guarded(lambda: module.quickstart(arguments))


class Trained:
    config = Config()
    step = 1000


@pytest.fixture(autouse=True)
def loaded(tmp_path, monkeypatch):
    """An empty folder to stand in, and an agent that loads; holds what was loaded."""
    monkeypatch.chdir(tmp_path)
    paths = []
    monkeypatch.setattr(acting, "load_agent", lambda path: paths.append(path) or Trained())
    return paths


def dataset(seed: int = 0) -> Path:
    return collect_configured(Config.from_dict({"grid_size": 2, "n_stream": 1, "alg_seed": seed})).path


def checkpoint(name: str, age: int) -> Path:
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    (folder / "checkpoint.json").write_text("{}")
    os.utime(folder, (10**9 - age, 10**9 - age))
    return folder


def test_all_is_there(capsys, loaded):
    path = dataset()
    assert run([]) == 0
    out, error = capsys.readouterr()
    assert error == "" and loaded == ["tiny"]
    lines = out.splitlines()
    for line in (
        "✓ All dependencies installed",
        "✓ Trained model available",
        "    ✓ the embedded agent (there is no checkpoint in runs/): AD for darkroom, 1,000 updates",
        "✓ Dataset ready",
        f"    ✓ {path.as_posix()}: darkroom, 4 goals, 1 learners each, 320 steps",
        "Next steps:",
    ):
        assert line in lines
    # Every command that it names is there.
    for line in lines[lines.index("Next steps:") + 1 :]:
        assert Path(line.split()[1]).is_file()


def test_without_a_checkout_the_next_steps_are_verbs(capsys, loaded, monkeypatch):
    dataset()
    monkeypatch.setattr("keepmap.commands.setup.quickstart.repository", lambda: None)
    assert run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [line.split() for line in lines[lines.index("Next steps:") + 1 :]]
    assert [command[:2] for command in commands] == [
        ["keepmap", verb] for verb in ("attention", "compressors", "train", "evaluate")
    ]
    assert {command[1] for command in commands} <= set(VERBS)


def test_the_newest_checkpoint_is_looked_at(capsys, loaded):
    dataset()
    checkpoint("one/ckpt-2000", age=100)
    newest = checkpoint("two/ckpt-10", age=1)
    assert run([]) == 0
    assert loaded == [newest]
    assert "✓ runs/two/ckpt-10: AD for darkroom" in capsys.readouterr().out


def test_a_damaged_checkpoint(capsys, monkeypatch):
    dataset()
    checkpoint("one/ckpt-5", age=1)

    def load_agent(path):
        raise ModelError(f"{path} is\ndamaged")

    monkeypatch.setattr(acting, "load_agent", load_agent)
    assert run([]) == 1
    out = capsys.readouterr().out
    assert "✗ Trained model not usable\n    ✗ runs/one/ckpt-5 is damaged\n" in out
    assert "train.py  # after deleting runs/one/ckpt-5\n" in out and "Next steps" not in out


def test_no_dataset_then_a_damaged_one(capsys):
    assert run([]) == 0, "the embedded agent works without"
    out = capsys.readouterr().out
    assert "✓ No dataset yet\n    ✓ there is no .hdf5 file in datasets/; only training needs one" in out
    assert "Next steps:" in out and "now?" not in out
    good, bad = dataset(0), dataset(1)
    bad.write_bytes(bad.read_bytes()[:-200])
    assert run([]) == 1
    out = capsys.readouterr().out
    assert "✗ Dataset damaged" in out and f"✓ {good.as_posix()}: " in out and f"✗ cannot read {bad.as_posix()}" in out
    assert f"# after deleting {bad.as_posix()}\n" in out


def test_missing_dependencies_come_first(capsys, monkeypatch, loaded):
    needed = [Dependency("torch", "2.8", "2.13.0", None), Dependency("rich", "13", "", "12.9")]
    monkeypatch.setattr(module, "dependencies", lambda root: needed)
    assert run([]) == 1
    out = capsys.readouterr().out
    assert "✗ Some dependencies are missing\n    ✗ torch is not installed\n" in out
    assert "✗ rich 12.9 is too old; 13 or newer is needed\n" in out
    assert "setup_visualization.py\nthen run this again" in out
    assert loaded == [] and "Dataset" not in out


def test_a_package_that_cannot_be_loaded(capsys, monkeypatch):
    def load_agent(path):
        raise OSError("libtorch.so: cannot open")

    monkeypatch.setattr(acting, "load_agent", load_agent)
    assert run([]) == 1
    out = capsys.readouterr().out
    assert "✗ libtorch.so: cannot open\n" in out and "pip install --force-reinstall torch\n" in out


@pytest.mark.parametrize(("answer", "runs"), [("y", True), ("Yes", True), ("", False), ("n", False), (None, False)])
@pytest.mark.parametrize("checkout", [True, False])
def test_on_a_terminal_it_offers_to_run_what_is_missing(capsys, monkeypatch, answer, runs, checkout):
    commands = []
    questions = []

    def answered(question):
        questions.append(question)
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answered)
    monkeypatch.setattr(
        module.subprocess, "run", lambda words, check: commands.append(words) or SimpleNamespace(returncode=0)
    )
    if not checkout:
        monkeypatch.setattr("keepmap.commands.setup.quickstart.repository", lambda: None)
    assert run([]) == 0
    (question,) = questions
    assert question.endswith("collect.py` now? [y/N] " if checkout else "`keepmap collect` now? [y/N] ")
    if runs:
        ((program, *words),) = commands
        assert program == sys.executable
        assert words[-1].endswith("collect.py") if checkout else words == ["-m", "keepmap", "collect"]
    else:
        assert commands == [] and "Next steps:" in capsys.readouterr().out


def test_options(capsys):
    assert run(["--help"]) == 0
    assert "quickstart.py" in capsys.readouterr().out
    assert run(["--fast"]) == 2
    assert capsys.readouterr().err == 'error: "--fast" was given; quickstart.py takes no options\n'


def test_without_packages_terminal_or_unicode(tmp_path):
    # A copy of the checkout, in a Python that sees no installed package.
    root = tmp_path / "checkout"
    shutil.copytree(REPOSITORY / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "tiny", "agent"))
    for name in ("quickstart.py", "setup_visualization.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, root)
    for script, code, words in (
        ("quickstart.py", 1, "    [--] keepmap itself is not installed"),
        ("setup_visualization.py", 0, f"--no-deps --editable {root}"),
    ):
        done = subprocess.run(
            [sys.executable, "-S", "-W", "error", script, *(["--dry_run"] if code == 0 else [])],
            cwd=root,
            env={"PYTHONIOENCODING": "ascii", "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if "has no pip" in done.stderr:  # a Python whose pip is among its packages
            assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
            continue
        assert (done.returncode, done.stderr) == (code, "")
        assert "[--] torch is not installed" in done.stdout and words in done.stdout
