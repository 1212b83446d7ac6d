"""The connection of this process to a Ray cluster, and whether the cluster's head is still there."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from keepmap.errors import InputError, shortened

__all__ = ["Head", "connected"]

CONNECTING = 60.0
"""Seconds in which a cluster has to answer."""
EVERY = 5.0
"""Seconds between two times that a cluster's head is asked for."""
LOST = 30.0
"""Seconds without an answer after which a head is lost: below the minute after which Ray ends this process."""


class Head:
    """The process of a Ray cluster that knows the others (its global control store), as seen from here.

    Args:
        place: HOST:PORT; "" where it is not reached from here, as behind Ray's client, and never lost.
    """

    def __init__(self, place: str) -> None:
        host, _, port = place.rpartition(":")
        self._place = (host.strip("[]"), int(port)) if host else None
        self._tried = self._answered = time.monotonic()
        self._is_lost = False

    def is_lost(self) -> bool:
        """Whether it has not answered for so long that nothing will come of it; asks it now and then."""
        now = time.monotonic()
        if self._place is None or self._is_lost or now < self._tried + EVERY:
            return self._is_lost
        self._tried = now
        try:
            socket.create_connection(self._place, timeout=EVERY).close()
            self._answered = now
        except OSError:
            self._is_lost = now > self._answered + LOST
        return self._is_lost


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[Head]:
    """Connected to a cluster for the time of a `with`, within a bounded time and without a word on the terminal.

    Where this process is connected already, it stays so.

    Args:
        ray: Ray's module. address: of Ray's client; None as `ray_executor` says for "ray".

    Raises:
        InputError: nothing answers there, or no cluster can be begun on this machine.
    """
    if ray.is_initialized():
        yield _head(ray)
        return
    place = address or os.environ.get("RAY_ADDRESS", "")
    host, _, port = place.removeprefix("ray://").rpartition(":")
    advice = "begin a cluster with `ray start --head` and name it as ray://HOST:10001, or leave `executor` out"
    if host and port.isdecimal():
        # Ray itself tries for a minute, and tells the terminal about it.
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            raise InputError(f"no Ray cluster answers at {place} ({error.strerror or error}); {advice}") from None
    failures: list[BaseException] = []
    answered, leaving = threading.Event(), threading.Event()

    def connect() -> None:
        # A cluster that is begun here tells nobody about it.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options = {} if place else {"include_dashboard": False}
        try:
            ray.init(address, logging_level=logging.CRITICAL, log_to_driver=False, **options)
        except BaseException as error:
            failures.append(error)
        answered.set()
        # The processes of a cluster that is begun here are ended by Linux with the thread that began them.
        leaving.wait()

    try:
        with _silent_stderr():
            threading.Thread(target=connect, name="keepmap-ray-connection", daemon=True).start()
            has_answer = answered.wait(CONNECTING)
        _keep_signals()
        if not has_answer or failures:
            reason = " ".join(str(failures[0]).split()) if failures else f"no answer in {CONNECTING:.0f} seconds"
            raise InputError(f"no Ray cluster at {place or 'this machine'} ({shortened(reason, 150)}); {advice}")
        head = _head(ray)
        try:
            yield head
        finally:
            ray.shutdown()
    finally:
        leaving.set()


def _head(ray: Any) -> Head:
    is_client = ray.util.client.ray.is_connected()
    return Head("" if is_client else ray.get_runtime_context().gcs_address)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Ray's library writes past Python's logging, where nothing answers once in five seconds."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _keep_signals() -> None:
    """What ends a run is for the run to handle: Ray's library puts its own handlers below those of Python."""
    with suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if handler is not None:
                signal.signal(number, handler)
