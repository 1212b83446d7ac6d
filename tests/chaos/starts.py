"""Commands that start in a moment: each in a process that is forked from one that has imported all it needs."""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import TimeoutExpired

__all__ = ["STDERR", "Start"]

STDERR = "stderr.txt"
IMPORTED = [
    "keepmap.cli.main",
    "keepmap.commands.compare",
    "keepmap.commands.evaluate",
    "keepmap.commands.attention",
    "keepmap.commands.study",
    "keepmap.commands.training.surrogate",
    "keepmap.drawing.compressor_study",
    "transformers.models.llama.modeling_llama",
]
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(IMPORTED)


class Start:
    """A command that runs in `place`, in a group of its own; it is waited for and killed as one of `subprocess` is.

    Args:
        writer: a function, as its caller's module names it, that takes a moment longer: so that many moments lie
            between two records.
        clock: "real", or "jump" for one that goes back by years.
        largest: bytes that a file may have.
    """

    def __init__(
        self, words: Sequence[str], place: Path, *, writer: str, clock: str = "real", largest: int | None = None
    ) -> None:
        self._process = FORKED.Process(target=_do, args=(list(words), str(place), writer, clock, largest))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Its exit code, once it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("keepmap", timeout)
        return self._process.exitcode

    def terminate(self) -> None:
        """Ask it to end: SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """End it as the system does, at once."""
        self._process.kill()


def _do(words: list[str], place: str, writer: str, clock: str, largest: int | None) -> None:
    os.setsid()
    os.chdir(place)
    for handle, path in ((0, os.devnull), (1, os.devnull), (2, STDERR)):
        opened = os.open(path, os.O_RDONLY if handle == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, handle)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    _slow(*writer.rsplit(".", 1))
    if clock == "jump":
        real, start = time.time, time.time()
        time.time = lambda: start - 3e8 * (real() - start)
    if largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    from keepmap.cli import main

    sys.argv = ["keepmap", *words]
    sys.exit(main())


def _slow(module: str, name: str) -> None:
    calls = importlib.import_module(module)
    write = getattr(calls, name)

    def slowly(*arguments, **options):
        time.sleep(0.02)
        return write(*arguments, **options)

    setattr(calls, name, slowly)
