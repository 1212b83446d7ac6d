"""`python setup_visualization.py`: what it installs, and that it installs nothing else. No pip runs here."""

import subprocess
import sys
from pathlib import Path

import pytest

from keepmap.cli.guard import guarded
from keepmap.commands.setup import dependencies as module
from keepmap.commands.setup import install as installing
from keepmap.commands.setup.dependencies import dependencies

REPOSITORY = Path(__file__).parents[3]
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]


def run(arguments: list[str]) -> int:
    """What `setup_visualization.py` does with these arguments."""
    return guarded(lambda: installing.install_missing(arguments))


class Environment:
    """What is installed, and a pip that installs what it is told to."""

    def __init__(self) -> None:
        self.versions = {package.name: package.version for package in dependencies(REPOSITORY)} | {"keepmap": "0.1.0"}
        self.ran: list[list[str]] = []
        self.code, self.errors, self.works = 0, "", True

    def version(self, name: str) -> str | None:
        return self.versions.get(name)

    def run(self, command, **options):
        self.ran.append(command)
        if self.works and not self.code:
            for word in command[5:]:
                name, _, version = word.partition("==")
                self.versions["keepmap" if name == str(REPOSITORY) else name] = version or "9"
        return subprocess.CompletedProcess(command, self.code, stderr=self.errors)


@pytest.fixture
def environment(monkeypatch):
    environment = Environment()
    monkeypatch.setattr(module, "installed", environment.version)
    monkeypatch.setattr(installing, "installed", environment.version)
    monkeypatch.setattr(subprocess, "run", environment.run)
    return environment


def test_nothing_is_missing(environment, capsys):
    assert run([]) == 0
    assert environment.ran == []
    out = capsys.readouterr().out
    assert "  ✓ torch 2" in out and out.endswith("✓ All dependencies installed; nothing to do\n")


def test_torch_first_then_the_rest_then_the_checkout(environment, capsys):
    pins = {package.name: package.pin for package in dependencies(REPOSITORY)}
    environment.versions |= {"tyro": None, "torch": None, "h5py": "3.10.9", "keepmap": None}
    assert run([]) == 0
    assert environment.ran == [
        [*PIP, f"torch=={pins['torch']}"],
        [*PIP, f"h5py=={pins['h5py']}", f"tyro=={pins['tyro']}"],
        [*PIP, "--no-deps", "--editable", str(REPOSITORY)],
    ]
    out = capsys.readouterr().out
    assert "✗ torch is not installed\n" in out and "✗ h5py 3.10.9 is too old; 3.11 or newer is needed\n" in out
    assert out.endswith("✓ All dependencies installed\n")
    assert run([]) == 0 and len(environment.ran) == 3


@pytest.mark.parametrize("option", ["--dry_run", "--dry-run"])
def test_a_dry_run_runs_nothing(environment, capsys, option):
    environment.versions["rich"] = None
    assert run([option]) == 0
    assert environment.ran == []
    assert " -m pip install --disable-pip-version-check rich==" in capsys.readouterr().out.splitlines()[-1]


def test_a_pip_that_fails(environment, capsys):
    environment.versions["rich"] = None
    environment.code = 1
    environment.errors = "WARNING: retrying\nERROR: Could not find rich\nERROR: No matching distribution\n"
    assert run([]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: pip could not install rich==") and error.count("\n") == 1
    assert error.endswith("(exit code 1): Could not find rich\n")
    environment.errors = ""
    assert run([]) == 2
    assert capsys.readouterr().err.endswith("(exit code 1): it gave no reason\n")


def test_a_pip_that_does_nothing(environment, capsys):
    environment.versions["rich"] = None
    environment.works = False
    assert run([]) == 2
    assert "error: pip is done, and yet something is missing" in capsys.readouterr().err


def test_no_pip(environment, monkeypatch, capsys):
    environment.versions["rich"] = None
    monkeypatch.setattr(installing, "find_spec", lambda name: None)
    assert run([]) == 2
    assert capsys.readouterr().err.endswith("-m ensurepip\n") and environment.ran == []


def test_options(environment, capsys):
    assert run(["--help"]) == 0
    assert run(["--dry_rum"]) == 2
    assert capsys.readouterr().err == 'error: unknown option "--dry_rum", did you mean "--dry_run"?\n'
