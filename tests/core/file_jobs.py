"""Jobs that are files, for processes to do; a module of its own, which a new process imports in a moment."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepmap.core.progress import Progress
from keepmap.errors import InputError
from keepmap.kv.method import methods


def write(job: Path, tell: Progress) -> None:
    """A job that is its file: it dies, fails, or writes."""
    name = job.name
    part = job.with_name(f".{name}.{os.getpid()}.part")
    part.mkdir()
    tell(0.5)
    if name.startswith("dies") and (name == "dies-always" or not job.with_name("died").exists()):
        job.with_name("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "fails":
        raise InputError("what is wrong")
    part.rmdir()
    job.write_text("done")


def open_tools(argument: tuple[Path, int]) -> tuple[int, int]:
    """A number to add to, and that there are five jobs; it leaves a file that says so."""
    folder, number = argument
    (folder / f"set-up-{os.getpid()}").touch()
    if (folder / "dies").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return number, 5


def add(number: int, job: int, send: Callable[[int], None]) -> None:
    """Two messages."""
    send(number + job)
    send(-1)


def place(job: int | None) -> str:
    """Where a worker died."""
    return "in setting up" if job is None else f"on {job}"


@dataclass(frozen=True)
class PluginJob:
    """A job that holds a value of a plugin's class."""

    path: Path
    method: Any


def write_power(job: PluginJob, tell: Progress) -> None:
    """Write the name that the registry knows the job's class by, and its value."""
    known = {cls: name for name, cls in methods().items()}
    job.path.write_text(f"{known[type(job.method)]} {job.method.power}")


def write_patience(job: Path, tell: Progress) -> None:
    """A job that writes how the threads of its process wait."""
    job.write_text(os.environ.get("OMP_WAIT_POLICY", "as they like"))
