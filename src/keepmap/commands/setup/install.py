"""Installing what is missing into this environment, and nothing else. Needs nothing but Python."""

import importlib
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from keepmap.commands.guard import guarded
from keepmap.commands.setup.dependencies import Dependency, dependencies, installed, repository
from keepmap.commands.setup.symbols import mark
from keepmap.errors import InputError, did_you_mean

__all__ = ["install_missing"]

HELP = """python setup_visualization.py [--dry_run]

Installs the packages that keepmap needs and that are missing or too old into the environment of this Python, with
pip. What is there is left as it is. --dry_run says what would be installed, and does not."""


def install_missing(arguments: Sequence[str] | None = None) -> int:
    """Run `setup_visualization.py`. Returns 0 when everything is there, 2 after an error (one line on stderr)."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    return guarded(lambda: _install(given))


def _install(arguments: Sequence[str]) -> int:
    options = [argument.replace("-", "_") for argument in arguments]
    if any(option in ("_h", "__help") for option in options):
        print(HELP)
        return 0
    for given, option in zip(arguments, options, strict=True):
        if option != "__dry_run":
            raise InputError(f'unknown option "{given}", {did_you_mean(given, ["--dry_run", "--help"])}')
    root = repository()
    needed = dependencies(root)
    for one in needed:
        print(f"  {mark(one.ready)} {described(one)}")
    commands = _commands(needed, root)
    if not commands:
        print(f"{mark(True)} All dependencies installed; nothing to do")
        return 0
    if find_spec("pip") is None:
        raise InputError(f"this environment has no pip; make it one: {sys.executable} -m ensurepip")
    for command in commands:
        print(shlex.join(command), flush=True)
        if not options:
            _run(command)
    if options:
        return 0
    importlib.invalidate_caches()
    if still := _commands(dependencies(root), root):
        raise InputError(f"pip is done, and yet something is missing; see what it says: {shlex.join(still[0])}")
    print(f"{mark(True)} All dependencies installed")
    return 0


def described(one: Dependency) -> str:
    """A package and how it stands: `torch 2.13.0`, `h5py is not installed`."""
    if one.found is None:
        return f"{one.name} is not installed"
    return f"{one.name} {one.found}" + ("" if one.ready else f" is too old; {one.least} or newer is needed")


def _commands(needed: Sequence[Dependency], root: Path | None) -> list[list[str]]:
    """What mends it: torch first and alone, then the rest, then the checkout itself, without looking further."""
    missing = [one for one in needed if not one.ready]
    batches = [
        [one.wanted for one in missing if one.name == "torch"],
        [one.wanted for one in missing if one.name != "torch"],
        ["--no-deps", "--editable", str(root)] if root is not None and installed("keepmap") is None else [],
    ]
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    return [[*pip, *batch] for batch in batches if batch]


def _run(command: list[str]) -> None:
    """Run pip; its progress is shown as it comes, its complaints become our error."""
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", stdin=subprocess.DEVNULL)
    except OSError as error:
        raise InputError(f"cannot start {command[0]}: {error.strerror or error}") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # The first of pip's lines says what is wrong; what follows are its explanations.
        said = next(
            (line for line in lines if line.lower().startswith("error:")), lines[-1] if lines else "it gave no reason"
        )
        raise InputError(
            f"pip could not install {' '.join(command[5:])} (exit code {done.returncode}): "
            f"{said.removeprefix('ERROR:').removeprefix('error:').strip()}"
        )
    sys.stderr.write(done.stderr)
