"""Long work spread over processes: one pool for whatever a run does, one job at a time in each of its workers.

A worker knows the plugins that this process has loaded. Each has its own pipe, so that one that is killed can neither
lock nor garble what the others say.
"""

import os
import shutil
import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

from keepmap.core.joining.plugins import load_plugins, plugin_faults, plugins
from keepmap.core.progress import Progress
from keepmap.errors import KeepmapError, WorkerError

__all__ = ["Crew", "Event", "JobDone", "JobMessage", "WorkerDied", "WorkerReady", "one_thread", "run_crew", "run_jobs"]

DEATHS = 2
"""How many workers a job may cost before the run gives up."""


@dataclass(frozen=True, kw_only=True)
class Crew:
    """How the workers of a run begin, and what each does with a job. Its functions are functions of modules.

    Attributes:
        set_up: argument -> (tools, facts): what a worker works with, and what the run has to know of it.
        work: (tools, job, send): does a job; whatever it sends reaches the run as a `JobMessage`.
        threads: of torch, in each process.
        describe: what a message says of a worker's death: "on sample 3"; of None, that it died in `set_up`.
        advice: the end of that message.
        parts: glob patterns, in the folder of the run, of what a worker writes; without the ".PID.part" at its end.
    """

    set_up: Callable[[Any], tuple[Any, Any]]
    work: Callable[[Any, Any, Callable[[Any], None]], None]
    threads: int
    describe: Callable[[Any], str]
    advice: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class WorkerReady:
    """A worker has set itself up; the first such event of a run comes before any job is done."""

    facts: Any


@dataclass(frozen=True)
class JobMessage:
    """A value that a job has sent while it runs."""

    index: int
    content: Any


@dataclass(frozen=True)
class JobDone:
    """The job of this index is done."""

    index: int


@dataclass(frozen=True)
class WorkerDied:
    """A worker died on a job (None: while it set itself up); another one takes over."""

    index: int | None
    exit_code: int | None


Event = WorkerReady | JobMessage | JobDone | WorkerDied


def run_crew(
    crew: Crew, arguments: Sequence[Any], jobs: Callable[[Any], Sequence[Any]], folder: Path
) -> Generator[Event, None, None]:
    """Do every job, in processes; when the generator is closed, so are they.

    Args:
        arguments: of `crew.set_up`, one for each worker; one that dies is replaced by one with the same.
        jobs: the facts of the first worker that is ready -> the jobs, which are begun in their order.
        folder: what a worker was writing there when it was killed is removed.

    Raises:
        KeepmapError: what a worker raised, or WorkerError where a job killed two workers.
    """
    pool = _Pool(crew, folder)
    try:
        yield from pool.run(arguments, jobs)
    finally:
        pool.close()


def run_jobs(
    jobs: Sequence[Any],
    work: Callable[[Any, Progress], None],
    workers: int,
    folder: Path,
    see_share: Callable[[int, float], None],
    see_death: Callable[[int, int | None], None],
) -> None:
    """Do every job, in their order: here for one worker, else in so many processes; with one torch thread each.

    Args:
        work: does a job and writes its result; called with the job and with what is to be told its share done.
        folder: what the jobs write into; what a worker was writing when it was killed is removed from it.
        see_share: called with a job's number and the share of it that is done.
        see_death: called with a job's number and its worker's exit code; another worker takes over.

    Raises:
        KeepmapError: what a job raised, or WorkerError where a job killed two workers.
    """
    if workers == 1:
        with one_thread():
            for index, job in enumerate(jobs):
                work(job, partial(see_share, index))
                see_share(index, 1.0)
        return
    crew = Crew(
        set_up=_set_up_nothing,
        work=partial(_tell_share, work),
        threads=1,
        describe=_on_job,
        advice="use fewer `workers`; what is finished is kept",
        parts=("**/.*",),
    )
    with closing(run_crew(crew, [None] * min(workers, len(jobs)), lambda facts: jobs, folder)) as events:
        for event in events:
            match event:
                case JobMessage(index, share):
                    see_share(index, share)
                case JobDone(index):
                    see_share(index, 1.0)
                case WorkerDied(int(index), exit_code):
                    see_death(index, exit_code)


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread, for the time of a `with`."""
    import torch  # a worker begins without it: see `_serve`

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _set_up_nothing(argument: None) -> tuple[None, None]:
    return None, None


def _tell_share(work: Callable[[Any, Progress], None], tools: None, job: Any, send: Callable[[Any], None]) -> None:
    # 1 is for the end, when the result is written.
    work(job, lambda share: send(min(share, 0.999)))


def _on_job(job: Any) -> str:
    return "before its first job" if job is None else f"on {job}"


@dataclass(frozen=True)
class _Failed:
    error: KeepmapError | None
    details: str


@dataclass(frozen=True)
class _Sent:
    content: Any


@dataclass(frozen=True)
class _Done:
    pass


@dataclass(eq=False)
class _Worker:
    """A process, and the number of the job that it does; None before its first one."""

    process: BaseProcess
    pipe: Connection
    argument: Any
    job: int | None = None


class _Pool:
    """The processes of one run, and what is left to do."""

    def __init__(self, crew: Crew, folder: Path) -> None:
        self._crew, self._folder = crew, folder
        self._workers: list[_Worker] = []
        self._jobs: Sequence[Any] | None = None
        self._waiting: deque[int] = deque()
        self._left = 0
        self._deaths: Counter[int | None] = Counter()

    def run(self, arguments: Sequence[Any], jobs: Callable[[Any], Sequence[Any]]) -> Iterator[Event]:
        for argument in arguments:
            self._start(argument)
        while self._workers and (self._jobs is None or self._left):
            pipes = set(wait([worker.pipe for worker in self._workers]))
            for worker in [worker for worker in self._workers if worker.pipe in pipes]:
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    yield self._bury(worker)
                    continue
                match message:
                    case _Failed():
                        raise message.error or RuntimeError(f"a worker failed:\n{message.details}")
                    case WorkerReady():
                        if self._jobs is None:
                            self._jobs = jobs(message.facts)
                            self._waiting.extend(range(len(self._jobs)))
                            self._left = len(self._jobs)
                        # Setting up works: one that was killed while at it was not ended by it.
                        del self._deaths[None]
                        yield message
                        self._next(worker)
                    case _Sent():
                        assert worker.job is not None
                        yield JobMessage(worker.job, message.content)
                    case _Done():
                        assert worker.job is not None
                        index, worker.job = worker.job, None
                        self._left -= 1
                        self._next(worker)
                        yield JobDone(index)

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            self._clean_up(worker)
        self._workers.clear()

    def _start(self, argument: Any) -> None:
        context = get_context("spawn")
        pipe, its_pipe = context.Pipe()
        process = context.Process(target=_serve, args=(plugins(), its_pipe), name="keepmap-worker")
        # An ignored Ctrl-C is inherited: it is for this process to end the others.
        with _ignoring_interrupts(), _patient_threads():
            process.start()
        its_pipe.close()
        self._workers.append(_Worker(process, pipe, argument))
        self._send(self._workers[-1], self._crew)
        self._send(self._workers[-1], argument)

    def _send(self, worker: _Worker, message: Any) -> None:
        try:
            worker.pipe.send(message)
        except OSError:
            # It is dead, and its pipe says so when it is read next.
            return

    def _next(self, worker: _Worker) -> None:
        """Its next job; where none is waiting, it ends by itself when its pipe is closed."""
        assert self._jobs is not None
        if not self._waiting:
            self._workers.remove(worker)
            self._clean_up(worker)
            return
        worker.job = self._waiting.popleft()
        self._send(worker, self._jobs[worker.job])

    def _bury(self, worker: _Worker) -> WorkerDied:
        """Replace a dead worker, and put its job first in the queue."""
        worker.process.join()
        exit_code = worker.process.exitcode
        self._workers.remove(worker)
        self._clean_up(worker)
        self._deaths[worker.job] += 1
        if self._deaths[worker.job] >= DEATHS:
            job = None if worker.job is None or self._jobs is None else self._jobs[worker.job]
            raise WorkerError(
                f"two workers died {self._crew.describe(job)} (the last with exit code {exit_code}); -9 is often the "
                f"system running out of memory: {self._crew.advice}"
            )
        if worker.job is not None:
            self._waiting.appendleft(worker.job)
        self._start(worker.argument)
        return WorkerDied(worker.job, exit_code)

    def _clean_up(self, worker: _Worker) -> None:
        """Once it has ended: what it was writing when it was killed is not left lying about."""
        worker.pipe.close()
        worker.process.join()
        for path in [path for part in self._crew.parts for path in self._unfinished(part, worker)]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        worker.process.close()

    def _unfinished(self, part: str, worker: _Worker) -> Iterator[Path]:
        return self._folder.glob(f"{part}.{worker.process.pid}.part")


def _serve(plugin_files: tuple[Path, ...], pipe: Connection) -> None:
    """A worker: it sets itself up, and does the jobs that come in.

    It looks to its parent before it imports anything that takes long: what is killed then leaves no worker either.
    """
    _end_with_parent()
    import torch

    try:
        # First: what comes through the pipe may be of their classes.
        load_plugins(plugin_files)
        with plugin_faults():
            crew: Crew = pipe.recv()
            torch.set_num_threads(crew.threads)
            tools, facts = crew.set_up(pipe.recv())
            pipe.send(WorkerReady(facts))
            while True:
                crew.work(tools, pipe.recv(), lambda content: pipe.send(_Sent(content)))
                pipe.send(_Done())
    except (EOFError, BrokenPipeError):
        return
    except KeepmapError as error:
        pipe.send(_Failed(error, ""))
    except Exception:
        pipe.send(_Failed(None, traceback.format_exc()))


def _end_with_parent() -> None:
    """From now on; a parent that was killed cannot end its workers, and in the middle of a job none reads its pipe.

    Linux sends a signal when the parent's end of the sentinel closes: a thread that waits for it has to wait for its
    turn, too, which takes seconds while torch is loaded on a machine that is busy.
    """
    parent = parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Threads of a process that begins now sleep while they wait, where the environment does not say how they wait.

    By default they spin, and take the cores from the threads of the other workers: twice as slow, measured.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        yield
    finally:
        del os.environ["OMP_WAIT_POLICY"]


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
