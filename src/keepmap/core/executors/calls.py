"""What a worker does with a call: it sets itself up once for a run, does a job, and gives errors back as values.

A call never raises. What the future of one raises is of the executor: its worker is lost.
"""

import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from keepmap.core.joining.plugins import load_plugins, plugin_faults
from keepmap.core.processes import Crew
from keepmap.errors import InputError, KeepmapError

__all__ = ["Call", "Reply", "answer", "forget", "provide"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A job that travels to a worker, with what the worker needs to set itself up for the run.

    Attributes:
        run: of which run it is: a worker sets itself up once for each.
        crew: what sets up and works. argument: of `crew.set_up`.
        plugins: files that are loaded first.
        job: what is to be done.
    """

    run: str
    crew: Crew
    argument: Any
    plugins: tuple[Path, ...]
    job: Any


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of a call.

    Attributes:
        sent: what the job has sent, also before it failed.
        error: what is wrong, of the user's; `details` is the traceback of what is wrong with keepmap.
    """

    sent: tuple[Any, ...]
    error: KeepmapError | None = None
    details: str = ""


class _Tools:
    """What this process has set up: by run, what it was given, and of one run, what it has made itself."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.provided: dict[str, Any] = {}
        self.opened: dict[str, Any] = {}
        self.is_forked = False


_tools = _Tools()


def _begin_anew() -> None:
    """A process that was forked has a copy of it all, and of a lock that nobody may ever open."""
    _tools.__init__()  # type: ignore[misc]
    _tools.is_forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def provide(run: str, tools: Any) -> None:
    """Workers that are threads of this process work with these tools; others set themselves up."""
    with _tools.lock:
        _tools.provided[run] = tools


def forget(run: str) -> None:
    """Nothing of this run is needed in this process any more."""
    with _tools.lock:
        _tools.provided.pop(run, None)
        _tools.opened.pop(run, None)


def answer(call: Call) -> Reply:
    """Do a call's job here; whatever is wrong is told by the reply."""
    sent: list[Any] = []
    try:
        _refuse_forked(call.crew.threads)
        load_plugins(call.plugins)
        with plugin_faults(), _threads(call.crew.threads):
            call.crew.work(_tools_of(call), call.job, sent.append)
    except KeepmapError as error:
        return Reply(sent=tuple(sent), error=error)
    except Exception:
        return Reply(sent=tuple(sent), details=f"on {socket.gethostname()}: {traceback.format_exc()}")
    return Reply(sent=tuple(sent))


def _tools_of(call: Call) -> Any:
    """A second thread waits until the first one has set up; of an earlier run nothing is kept, it may be large."""
    with _tools.lock:
        if call.run in _tools.provided:
            return _tools.provided[call.run]
        if call.run not in _tools.opened:
            _tools.opened.clear()
            _tools.opened[call.run], _ = call.crew.set_up(call.argument)
        return _tools.opened[call.run]


def _refuse_forked(threads: int) -> None:
    """Threads of torch do not survive a fork, and the child would wait for them for ever."""
    if _tools.is_forked and threads > 1:
        raise InputError(
            f"the processes of `executor` are forks of one that has used torch with {threads} threads, and would wait "
            'for these for ever; make it with mp_context=multiprocessing.get_context("spawn")'
        )


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """So many threads of torch as where the run was begun: the bytes of results follow from it."""
    before = torch.get_num_threads()
    if number == before:
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
