"""Commands of which every record takes a moment longer, on a clock or a disk as a test wants them."""

import importlib
import resource
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.forked import Forked

__all__ = ["STDERR", "start"]

STDERR = "stderr.txt"


def start(words: Sequence[str], place: Path, *, writer: str, clock: str = "real", largest: int | None = None) -> Forked:
    """A command that runs in `place`, in a group of its own.

    Args:
        writer: a function, as its caller's module names it, that takes a moment longer: so that many moments lie
            between two records.
        clock: "real", or "jump" for one that goes back by years.
        largest: bytes that a file may have.
    """
    first = partial(_prepare, writer, clock, largest)
    return Forked(["-m", "keepmap", *words], place, error=STDERR, first=first)


def _prepare(writer: str, clock: str, largest: int | None) -> None:
    _slow(*writer.rsplit(".", 1))
    if clock == "jump":
        real, begun = time.time, time.time()
        time.time = lambda: begun - 3e8 * (real() - begun)
    if largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


def _slow(module: str, name: str) -> None:
    calls = importlib.import_module(module)
    write = getattr(calls, name)

    def slowly(*arguments, **options):
        time.sleep(0.02)
        return write(*arguments, **options)

    setattr(calls, name, slowly)
