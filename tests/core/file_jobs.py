"""Jobs that are files, for processes to do; a module of its own, which a new process imports in a moment."""

import os
import signal
from pathlib import Path

from keepmap.core.progress import Progress
from keepmap.errors import InputError


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
