"""Installing what is missing into this environment, and nothing else. Needs nothing but Python."""

import importlib
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from keepmap.commands.setup.dependencies import Dependency, dependencies, installed, repository
from keepmap.errors import InputError, did_you_mean

__all__ = ["described", "install_missing", "mark"]

HELP = """python setup_visualization.py [--dry_run]

Installs the packages that keepmap needs and that are missing or too old into the environment of this Python, with
pip. What is there is left as it is. --dry_run says what would be installed, and does not."""


def install_missing(arguments: Sequence[str]) -> int:
    """Run `setup_visualization.py` with these arguments. Returns 0: all is there, or a dry run said what is not.

    Raises:
        InputError: an unknown option, no pip, or a pip that fails.
    """
    options = [argument.replace("-", "_") for argument in arguments]
    if any(option in ("_h", "__help") for option in options):
        print(HELP)
        return 0
    for argument, option in zip(arguments, options, strict=True):
        if option != "__dry_run":
            raise InputError(f'unknown option "{argument}", {did_you_mean(argument, ["--dry_run", "--help"])}')
    root = repository()
    needed = dependencies(root)
    for package in needed:
        print(f"  {mark(package.ready)} {described(package)}")
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


def mark(good: bool) -> str:
    """A tick or a cross, `✓` or `✗`; `[ok]` or `[--]` where stdout's encoding has neither."""
    try:
        "✓✗".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "[ok]" if good else "[--]"
    return "✓" if good else "✗"


def described(package: Dependency) -> str:
    """A package and its state: `torch 2.13.0`, `h5py is not installed`."""
    if package.version is None:
        return f"{package.name} is not installed"
    too_old = "" if package.ready else f" is too old; {package.least} or newer is needed"
    return f"{package.name} {package.version}{too_old}"


def _commands(needed: Sequence[Dependency], root: Path | None) -> list[list[str]]:
    """The calls of pip that install what is missing: torch first and alone, then the rest, then the checkout itself."""
    missing = [package for package in needed if not package.ready]
    batches = [
        [package.requirement for package in missing if package.name == "torch"],
        [package.requirement for package in missing if package.name != "torch"],
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
        last = lines[-1] if lines else "it gave no reason"
        reason = next((line for line in lines if line.lower().startswith("error:")), last)
        raise InputError(
            f"pip could not install {' '.join(command[5:])} (exit code {done.returncode}): "
            f"{reason.removeprefix('ERROR:').removeprefix('error:').strip()}"
        )
    sys.stderr.write(done.stderr)
