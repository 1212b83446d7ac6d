"""Jobs spread over any executor of `concurrent.futures`: results as they come, and what a lost worker had is done anew.

Workers are the executor's: threads, processes, or what a user's own one has. Each sets itself up once for a run.
"""

import uuid
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

from keepmap.core.executors.calls import Call, Reply, answer, forget, provide
from keepmap.core.executors.schedule import LOSSES, Schedule
from keepmap.core.joining.plugins import plugins
from keepmap.core.processes import Crew, JobDone, JobMessage, WorkerDied
from keepmap.errors import InputError, KeepmapError, WorkerError, shortened

__all__ = ["Event", "Spread", "Wait", "first_ended", "slots_of"]

Event = JobMessage | JobDone | WorkerDied
Wait = Callable[[Collection["Future[Reply]"]], Collection["Future[Reply]"]]
"""From futures to those of them that have ended, at least one."""


def first_ended(futures: Collection["Future[Reply]"]) -> Collection["Future[Reply]"]:
    """Wait until one of them has ended."""
    return wait_for(futures, return_when=FIRST_COMPLETED).done


def slots_of(executor: Executor) -> int | None:
    """How many calls an executor is given at once; None where it does not say how many workers it has.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> slots_of(ThreadPoolExecutor(3)), slots_of(Executor())
    (3, None)
    """
    slots = getattr(executor, "slots", getattr(executor, "_max_workers", None))
    return slots if isinstance(slots, int) and slots > 0 else None


class Spread:
    """An executor whose workers do the jobs of a run; as a context, what was begun for it is ended with it.

    Args:
        executor: stays open. A pool of processes that breaks is of no use any more, and a new one takes its place.
        crew, argument: how a worker sets itself up and what it does with a job, as `run_crew` has them. What a worker
            writes is its own affair: the folder of the run may be out of its sight.
        tools: what workers that are threads of this process work with, instead of setting themselves up.
        wait: tells when futures have ended.
    """

    def __init__(
        self, executor: Executor, crew: Crew, argument: Any, *, tools: Any = None, wait: Wait = first_ended
    ) -> None:
        self._executor, self._crew, self._argument, self._wait = executor, crew, argument, wait
        self._run = uuid.uuid4().hex
        self._own: ProcessPoolExecutor | None = None
        self._begun: set[Future[Reply]] = set()
        if tools is not None:
            provide(self._run, tools)

    def __enter__(self) -> "Spread":
        return self

    def __exit__(self, *error: object) -> None:
        is_idle = not self._begun
        for future in self._begun:
            future.cancel()
        if self._own is not None:
            self._own.shutdown(wait=is_idle, cancel_futures=True)
        forget(self._run)

    @property
    def slots(self) -> int | None:
        """How many jobs are begun at once; None where the executor does not say how many workers it has."""
        return slots_of(self._executor)

    def events(self, jobs: Sequence[Any], sizes: Sequence[float] | None = None) -> Generator[Event, None, None]:
        """Do every job; results come in the order in which they are ready.

        Args:
            sizes: of each job: the largest is begun first.

        Raises:
            KeepmapError: what a job raised.
            WorkerError: a job lost too many workers, or the executor is broken.
            InputError: the executor takes no work.
        """
        schedule = Schedule([1.0] * len(jobs) if sizes is None else sizes)
        running: dict[Future[Reply], int] = {}
        while schedule.n_left:
            while self.slots is None or len(running) < self.slots:
                index = schedule.next()
                if index is None:
                    break
                running[self._begin(jobs[index])] = index
            for future in sorted(self._wait(running), key=running.__getitem__):
                index = running.pop(future)
                self._begun.discard(future)
                error = CancelledError() if future.cancelled() else future.exception()
                if error is None:
                    schedule.done(index)
                    yield from self._passed_on(index, future.result())
                else:
                    self._give_up(schedule.lost(index), jobs[index], error)
                    yield WorkerDied(index, None)

    def _begin(self, job: Any) -> "Future[Reply]":
        call = Call(run=self._run, crew=self._crew, argument=self._argument, plugins=plugins(), job=job)
        try:
            future = self._executor.submit(answer, call)
        except BrokenExecutor as error:
            self._executor = self._own = _alike(self._executor, error)
            future = self._executor.submit(answer, call)
        except KeepmapError:
            raise
        except RuntimeError as error:
            raise InputError(f"`executor` takes no work: {shortened(str(error), 100)}; give one that is open") from None
        self._begun.add(future)
        return future

    def _passed_on(self, index: int, reply: Reply) -> Iterator[Event]:
        for content in reply.sent:
            yield JobMessage(index, content)
        if reply.error is not None:
            raise reply.error
        if reply.details:
            raise RuntimeError(f"a worker failed {reply.details}")
        yield JobDone(index)

    def _give_up(self, losses: int, job: Any, error: BaseException) -> None:
        if losses >= LOSSES:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise WorkerError(
                f"{losses} workers were lost {self._crew.describe(job)} (the last by {shortened(what, 150)}): "
                f"{self._crew.advice}"
            )


def _alike(executor: Executor, error: BrokenExecutor) -> ProcessPoolExecutor:
    """A new pool of processes like one that broke."""
    if not isinstance(executor, ProcessPoolExecutor):
        raise WorkerError(
            f"the `executor` is broken ({shortened(str(error), 100)}); what is finished is kept, and the same call "
            "with a new one goes on"
        ) from None
    options = {
        name: getattr(executor, f"_{name}", None)
        for name in ("max_workers", "mp_context", "initializer", "initargs", "max_tasks_per_child")
    }
    return ProcessPoolExecutor(**{name: value for name, value in options.items() if value is not None})
