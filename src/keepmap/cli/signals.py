"""Ends by a signal: what is finished stays, nothing is left half-done, and the exit code says which signal it was."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

__all__ = ["CLOSED_PIPE", "Ended", "ending_by_signals", "open_streams", "silence", "unwinding"]

CLOSED_PIPE = 128 + 13
"""The exit code where the reader of a pipe (head, less) has seen enough, as that of a program that SIGPIPE ends."""
AGAIN = 0.01
"""Seconds until a signal is sent once more."""
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """A signal has come that ends the command, as Ctrl-C does.

    Attributes:
        code: the exit code, 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


class _Ending:
    """What a signal does: ends the process at once, or the first one by an exception where there is work to keep."""

    def __init__(self) -> None:
        self.unwinds = self.is_dropped = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.unwinds:
            os._exit(128 + number)
        self.unwinds = self.is_dropped = False
        raise Ended(number)

    def again(self, end: Ended) -> None:
        """Python has dropped the exception: its signal is sent once more, in a moment, when other code runs."""
        self.unwinds = self.is_dropped = True
        timer = threading.Timer(AGAIN, self._send, [end.code - 128])
        timer.daemon = True
        timer.start()

    def _send(self, number: int) -> None:
        if self.is_dropped:
            os.kill(os.getpid(), number)


_ending = _Ending()


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """Inside, Ctrl-C, SIGTERM and SIGHUP end the process without a traceback, whatever is being imported.

    A signal that this process ignores from its start (`nohup`, a job in the background) stays ignored. In a thread that
    is not the main one nothing changes: only that one may say what signals do.

    Python drops what is raised while it runs a callback of a weak reference or of the garbage collector; a signal that
    comes just then ends the process a moment later.
    """
    before = {}
    report = sys.unraisablehook

    def dropped(unraisable: "sys.UnraisableHookArgs") -> None:
        if isinstance(unraisable.exc_value, Ended):
            _ending.again(unraisable.exc_value)
        else:
            report(unraisable)

    with suppress(ValueError):
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _ending)
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = report
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def unwinding() -> Iterator[None]:
    """Inside, the first signal raises `Ended`, so that what is finished is kept; the second one ends all at once."""
    _ending.unwinds = True
    try:
        yield
    finally:
        _ending.unwinds = _ending.is_dropped = False


def open_streams() -> None:
    """Give stdin, stdout and stderr that were closed to the device that takes everything.

    Else the next file that is opened would be in their place, and what is printed would go into it.
    """
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def silence(*streams: TextIO) -> None:
    """What is left to flush goes nowhere: of these streams, or of stdout and stderr."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams or (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
