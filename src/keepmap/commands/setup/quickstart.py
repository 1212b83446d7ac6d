"""The quick start: is everything there, what is missing, and which command mends it; on a terminal it offers to run it.

Until the dependencies are known to be there, this uses nothing but Python.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keepmap.commands.setup.dependencies import dependencies, installed, repository
from keepmap.commands.setup.install import described, mark
from keepmap.errors import InputError, KeepmapError

__all__ = ["quickstart"]

INCOMPLETE = 1
HELP = """python quickstart.py

Checks that the dependencies, a trained model and a dataset are there, and says which command makes what is missing. On
a terminal it offers to run that command. A dataset is needed for training alone, which collects one if there is none.
Exit code: 0 when all is there that is needed, 1 when something is missing or damaged."""

NEXT = (
    ("visualize_attention.py", "see what the model attends to"),
    ("compression_strategies.py", "see what each compressor keeps"),
    ("train.py", "train an agent; with a compressor: --set compressor.name=recency n_transit=80"),
    ("evaluate.py", "play the held-out goals"),
)


@dataclass(frozen=True)
class Check:
    """One of the three checks.

    Attributes:
        name: its headline, which says how it went.
        good: whether all is well.
        findings: what was looked at, each with whether it is well.
        mend: the command that mends it, or makes what can be done without; empty where all is well.
        first: what is to be done before that command can help.
    """

    name: str
    good: bool
    findings: tuple[tuple[bool, str], ...]
    mend: str = ""
    first: str = ""


def quickstart(arguments: Sequence[str]) -> int:
    """Run `quickstart.py` with these arguments. Returns 0 when everything is there, 1 when something is missing.

    Raises:
        InputError: there are arguments, and it takes none.
    """
    if arguments:
        if arguments[0] in ("-h", "--help"):
            print(HELP)
            return 0
        raise InputError(f'"{arguments[0]}" was given; quickstart.py takes no options')
    root = repository()
    print("keepmap: quick start\n")
    checks = [_dependencies(root)]
    _show(checks[0])
    if checks[0].good:
        for look in (_trained_model, _dataset):
            checks.append(look(root))
            _show(checks[-1])
    for check in reversed(checks):  # a training needs a dataset
        if check.mend and not check.first and _agreed(check.mend):
            return subprocess.run(_words(check.mend), check=False).returncode
    missing = [check for check in checks if not check.good]
    if missing:
        print("\nTo mend it:")
        for check in reversed(missing):
            print(f"  {check.mend}" + (f"  # {check.first}" if check.first else ""))
        if len(checks) == 1:
            print("then run this again: the model and the dataset are looked at next.")
        return INCOMPLETE
    print("\nNext steps:")
    steps = [(_command(root, door), why) for door, why in NEXT if root is None or (root / door).is_file()]
    width = max(len(command) for command, _ in steps)
    for command, why in steps:
        print(f"  {command:<{width}}  {why}")
    return 0


def _agreed(command: str) -> bool:
    """Whether someone at a terminal wants the command to be run; elsewhere nobody is asked."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input(f"\nRun `{command}` now? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _words(command: str) -> list[str]:
    """A command that this module names, for the Python that runs now."""
    program, *rest = shlex.split(command)
    return [sys.executable, *(["-m", program] if program == "keepmap" else []), *rest]


def _show(check: Check) -> None:
    print(f"{mark(check.good)} {check.name}", flush=True)
    for good, finding in check.findings:
        print(f"    {mark(good)} {finding}", flush=True)


def _dependencies(root: Path | None) -> Check:
    needed = dependencies(root)
    findings = [(package.ready, described(package)) for package in needed]
    if installed("keepmap") is None:
        findings.append((False, "keepmap itself is not installed"))
    good = all(ready for ready, _ in findings)
    name = "All dependencies installed" if good else "Some dependencies are missing"
    mend = _command(root, "setup_visualization.py") if root else "python -m pip install --upgrade keepmap"
    return Check(name, good, tuple(findings), "" if good else mend)


def _trained_model(root: Path | None) -> Check:
    """The newest checkpoint in runs/ or else the embedded agent, really loaded."""
    newest: Path | None = None
    mend, first = _command(root, "train.py"), ""
    try:
        from keepmap.agents.acting import load_agent
        from keepmap.agents.checkpoints import EMBEDDED, newest_checkpoint, newest_run

        run = newest_run()
        newest = None if run is None else newest_checkpoint(run)
        agent = load_agent(EMBEDDED if newest is None else newest)
    except KeepmapError as error:
        if newest is not None:
            first = f"after deleting {newest.as_posix()}"
        return Check("Trained model not usable", False, ((False, _one_line(error)),), mend, first)
    except (ImportError, OSError) as error:
        return Check("Trained model not usable", False, ((False, _one_line(error)),), _again("torch"))
    where = "the embedded agent (there is no checkpoint in runs/)" if newest is None else newest.as_posix()
    finding = f"{where}: {agent.config.model} for {agent.config.env}, {agent.step:,} updates"
    return Check("Trained model available", True, ((True, finding),))


def _dataset(root: Path | None) -> Check:
    """Every file in datasets/, opened and read from."""
    paths = sorted(Path("datasets").glob("*.hdf5"))
    mend = _command(root, "collect.py")
    if not paths:
        without = "there is no .hdf5 file in datasets/; only training needs one, and collects it first"
        return Check("No dataset yet", True, ((True, without),), mend)
    try:
        from keepmap.agents.collection.dataset import open_histories
    except (ImportError, OSError) as error:
        return Check("Dataset not readable", False, ((False, _one_line(error)),), _again("h5py"))
    findings: list[tuple[bool, str]] = []
    damaged = []
    for path in paths:
        try:
            histories = open_histories(path)
            histories.read(len(histories) - 1, learners=slice(0, 1))
        except KeepmapError as error:
            findings.append((False, _one_line(error)))
            damaged.append(path.as_posix())
        else:
            size = f"{len(histories)} goals, {histories.n_learners} learners each, {histories.n_steps:,} steps"
            findings.append((True, f"{path.as_posix()}: {histories.room.name}, {size}"))
    if damaged:
        first = f"after deleting {' '.join(damaged)}"
        return Check("Dataset damaged", False, tuple(findings), mend, first)
    return Check("Dataset ready", True, tuple(findings))


def _command(root: Path | None, door: str) -> str:
    """How to start a front door from here: its file in a checkout, else the verb of the same name."""
    if root is not None:
        return f"python {os.path.relpath(root / door)}"
    verb = {"compression_strategies.py": "compressors", "visualize_attention.py": "attention"}.get(door)
    return f"keepmap {door.removesuffix('.py') if verb is None else verb}"


def _again(package: str) -> str:
    return f"python -m pip install --force-reinstall {package}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
