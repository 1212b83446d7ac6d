"""Jobs for executors; a module of its own, which a new process imports in a moment."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from keepmap.core.processes import Crew
from keepmap.errors import InputError

SETTING_UP = threading.Lock()


def set_up(folder: Path) -> tuple[tuple[Path, int], None]:
    """Tools that say who has them; it leaves a file for each time."""
    with SETTING_UP:
        number = len(list(folder.glob("set-up-*")))
        (folder / f"set-up-{number}-{os.getpid()}").touch()
    return (folder, os.getpid()), None


def work(tools: tuple[Path, int], job: str, send: Callable[[Any], None]) -> None:
    """What the job's name says, and two messages."""
    folder, _ = tools
    send(("begun", job))
    if job.startswith("dies") and (job == "dies-always" or not (folder / job).exists()):
        (folder / job).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "fails":
        raise InputError("what is wrong")
    if job == "bug":
        raise KeyError("a bug")
    send((job, torch.get_num_threads()))


def place(job: str | None) -> str:
    """Where a worker was lost."""
    return f"on {job}"


def crew(threads: int = 1) -> Crew:
    """Whose functions are these."""
    return Crew(set_up=set_up, work=work, threads=threads, describe=place, advice="use less", parts=())
