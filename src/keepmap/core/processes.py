"""Long jobs spread over processes, one job at a time in each; every job writes its own result.

Each worker has its own pipe, so that one that is killed can neither lock nor garble what the others say.
"""

import shutil
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch

from keepmap.errors import KeepmapError, WorkerError

__all__ = ["Tell", "Work", "one_thread", "run_jobs"]

DEATHS = 2
"""How many workers a job may cost before the run gives up."""

Tell = Callable[[float], None]
Work = Callable[[Any, Tell], None]
"""Does a job, and tells which share of it is done; a function of a module, so that a process can find it."""


def run_jobs(
    jobs: Sequence[Any],
    work: Work,
    workers: int,
    folder: Path,
    tell: Callable[[int, float], None],
    died: Callable[[int, int | None], None],
) -> None:
    """Do every job, in their order: here for one worker, else in so many processes; with one torch thread each.

    Args:
        folder: what the jobs write into; what a worker was writing when it was killed is removed from it.
        tell: called with a job's number and the share of it that is done.
        died: called with a job's number and its worker's exit code; another worker takes over.

    Raises:
        KeepmapError: what a job raised, or WorkerError where a job killed two workers.
    """
    if workers == 1:
        with one_thread():
            for index, job in enumerate(jobs):
                work(job, partial(tell, index))
                tell(index, 1.0)
        return
    pool = _Pool(jobs, work, folder)
    try:
        pool.run(min(workers, len(jobs)), tell, died)
    finally:
        pool.close()


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread, for the time of a `with`."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _Failed:
    error: KeepmapError | None
    details: str


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: int


class _Pool:
    def __init__(self, jobs: Sequence[Any], work: Work, folder: Path) -> None:
        self._jobs, self._work, self._folder = jobs, work, folder
        self._workers: list[_Worker] = []
        self._waiting = deque(range(len(jobs)))
        self._deaths: Counter[int] = Counter()

    def run(self, workers: int, tell: Callable[[int, float], None], died: Callable[[int, int | None], None]) -> None:
        for _ in range(workers):
            self._start()
        while self._workers:
            pipes = set(wait([worker.pipe for worker in self._workers]))
            for worker in [one for one in self._workers if one.pipe in pipes]:
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    died(worker.job, self._bury(worker))
                    continue
                if isinstance(message, _Failed):
                    raise message.error or RuntimeError(f"a worker failed:\n{message.details}")
                tell(worker.job, message)
                if message == 1.0:
                    self._next(worker)

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            self._clean_up(worker)
        self._workers.clear()

    def _start(self) -> None:
        if not self._waiting:
            return
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self._work, theirs), name="keepmap-job")
        # An ignored Ctrl-C is inherited: it is for this process to end the others.
        with _ignoring_interrupts():
            process.start()
        theirs.close()
        worker = _Worker(process, ours, self._waiting[0])
        self._workers.append(worker)
        self._next(worker)

    def _next(self, worker: _Worker) -> None:
        if not self._waiting:
            self._workers.remove(worker)
            # It ends by itself when its pipe is closed.
            self._clean_up(worker)
            return
        worker.job = self._waiting.popleft()
        try:
            worker.pipe.send(self._jobs[worker.job])
        except OSError:
            # It is dead, and its pipe says so when it is read next.
            return

    def _bury(self, worker: _Worker) -> int | None:
        """Replace a dead worker, and put its job first in the queue."""
        worker.process.join()
        exit_code = worker.process.exitcode
        self._workers.remove(worker)
        self._clean_up(worker)
        self._deaths[worker.job] += 1
        if self._deaths[worker.job] >= DEATHS:
            raise WorkerError(
                f"two workers died on {self._jobs[worker.job]} (the last with exit code {exit_code}); -9 is often the "
                "system running out of memory: use fewer --workers; what is finished is kept"
            )
        self._waiting.appendleft(worker.job)
        self._start()
        return exit_code

    def _clean_up(self, worker: _Worker) -> None:
        """Once it has ended: what it was writing when it was killed is not left lying about."""
        worker.pipe.close()
        worker.process.join()
        for path in [*self._folder.rglob(f".*.{worker.process.pid}.part")]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        worker.process.close()


def _serve(work: Work, pipe: Connection) -> None:
    """A worker: do the jobs that come in; 1.0 is a job that is done."""
    torch.set_num_threads(1)
    try:
        while True:
            job = pipe.recv()
            work(job, lambda share: pipe.send(min(share, 0.999)))
            pipe.send(1.0)
    except (EOFError, BrokenPipeError):
        return
    except KeepmapError as error:
        pipe.send(_Failed(error, ""))
    except Exception:
        pipe.send(_Failed(None, traceback.format_exc()))


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Where this is the main thread: no other may."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
