"""An executor over a Ray cluster: an actor for each worker, which loads what it needs once; a dead one is replaced."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from typing import Any

from keepmap.core.executors.connection import Head, connected
from keepmap.errors import InputError, WorkerError, counted, shortened

__all__ = ["RayExecutor", "ray_executor"]

BEGINNING = 300.0
"""Seconds in which a worker of a cluster has to begin where there is none."""
AT_ONCE = 2
"""Calls that are given for each worker: the next one waits in this process, and none waits for what is written here."""
FAILURES = 3
"""Workers that may fail to begin, one after the other."""


class _Worker:
    """What an actor is."""

    def begin(self) -> None:
        """Answer, once it is there."""

    def do(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """The value of a function, in the actor."""
        return function(*arguments)


class RayExecutor(Executor):
    """Calls that are done by actors of the Ray cluster that this process is connected to, one at a time in each.

    A call whose actor dies fails by Ray's error, and another actor is begun; `Spread` gives the call again.

    Attributes:
        slots: how many calls it is given at once.

    Args:
        n_workers: actors. resources: what each takes of its machine, as Ray names it: num_cpus, num_gpus.
        head: of the cluster; without it nothing is begun or ended any more.
    """

    def __init__(self, n_workers: int, resources: dict[str, int], head: Head) -> None:
        import ray

        self._ray = ray
        self._head = head
        self._actor = ray.remote(max_restarts=0, **resources)(_Worker)
        self.slots = AT_ONCE * n_workers
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._idle: deque[Any] = deque()
        self._busy: dict[Any, tuple[Any, Future[Any] | None]] = {}
        self._failures = 0
        self._begins_until = time.monotonic() + BEGINNING
        self._broken: Exception | None = None
        self._is_open = True
        for _ in range(n_workers):
            self._begin_worker()
        self._watcher = threading.Thread(target=self._watch, name="keepmap-ray", daemon=True)
        self._watcher.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """A call, to be done by the next actor that is free; without keywords."""
        assert not kwargs
        future: Future[Any] = Future()
        with self._lock:
            if not self._is_open:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._broken is not None:
                raise self._broken
            self._waiting.append((future, fn, args))
            self._hand_out()
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End every actor, whatever it is doing."""
        with self._lock:
            self._is_open = False
            actors = [*self._idle, *(actor for actor, _ in self._busy.values())]
            waiting = [future for future, _, _ in self._waiting]
            running = [future for _, future in self._busy.values() if future is not None]
            self._waiting.clear()
            self._idle.clear()
            self._busy.clear()
            self._changed.notify()
        for future in waiting:
            future.cancel()
        for future in running:
            if not future.done():
                future.set_exception(CancelledError())
        self._watcher.join()
        for actor in actors if not self._head.is_lost() else []:
            with suppress(Exception):
                self._ray.kill(actor)

    def _begin_worker(self) -> None:
        actor = self._actor.remote()
        self._busy[actor.begin.remote()] = (actor, None)

    def _hand_out(self) -> None:
        """Under the lock: calls that wait go to actors that are idle."""
        while self._waiting and self._idle:
            future, function, arguments = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                actor = self._idle.popleft()
                self._busy[actor.do.remote(function, arguments)] = (actor, future)

    def _watch(self) -> None:
        """In a thread of its own: what actors have done reaches the futures."""
        while True:
            with self._lock:
                while self._is_open and not self._busy:
                    self._changed.wait()
                if not self._is_open:
                    return
                busy = list(self._busy)
            try:
                # A call that is handed out meanwhile is waited for from the next time on.
                ended, _ = self._ray.wait(busy, num_returns=1, timeout=0.05)
                for reference in ended:
                    self._end(reference)
                if time.monotonic() > self._begins_until:
                    raise TimeoutError(f"none has begun in {BEGINNING:.0f} seconds: its CPUs or GPUs are taken")
                if self._head.is_lost():
                    raise ConnectionError("its head does not answer")
            except Exception as error:
                self._break(error)
                return

    def _end(self, reference: Any) -> None:
        value: Any = None
        error: Exception | None = None
        try:
            value = self._ray.get(reference)
        except self._ray.exceptions.RayError as lost:
            error = lost
        with self._lock:
            actor, future = self._busy.pop(reference, (None, None))
            if actor is None:
                return
            if error is None:
                self._failures, self._begins_until = 0, math.inf
                self._idle.append(actor)
            else:
                self._failures += future is None
                if not self._idle and all(call is None for _, call in self._busy.values()):
                    self._begins_until = time.monotonic() + BEGINNING
                if self._failures < FAILURES:
                    self._begin_worker()
            self._hand_out()
        if error is not None and self._failures >= FAILURES:
            self._break(error)
        if future is None:
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def _break(self, error: Exception) -> None:
        """No worker can be had: what waits fails, and so does what is given later."""
        what = " ".join(str(error).split()).removesuffix(".")
        broken = WorkerError(
            f"the Ray cluster has no worker any more ({type(error).__name__}: {shortened(what, 200)}); what is "
            "finished is kept, and the same call goes on"
        )
        with self._lock:
            self._broken = broken
            futures = [*(future for future, _, _ in self._waiting), *(future for _, future in self._busy.values())]
            self._waiting.clear()
        for future in futures:
            if future is not None and not future.done():
                future.set_exception(broken)


@contextmanager
def ray_executor(address: str, *, workers: int | None, threads: int, device: str) -> Iterator[RayExecutor]:
    """An executor over a Ray cluster, for the time of a `with`; the connection ends with it where it was not there.

    Args:
        address: "ray" for the cluster that this process is connected to, that RAY_ADDRESS names or that has a node on
            this machine, in this order, or for one that is begun here; "ray://HOST:PORT" for Ray's client.
        workers: how many; None for as many as there is room for.
        threads: of torch in each, which is the CPUs that it takes; on a GPU it takes one, and one CPU.
        device: "auto", or a torch device.

    Raises:
        InputError: Ray is not installed, nothing answers at the address, or no machine has room for a worker.
    """
    try:
        import ray
    except ImportError:
        raise InputError("`executor` needs ray, which is not installed: pip install 'keepmap[ray]'") from None
    with connected(ray, None if address == "ray" else address) as head:
        room, resources = _room(ray.nodes(), threads, device)
        executor = RayExecutor(room if workers is None else min(workers, room), resources, head)
        try:
            yield executor
        finally:
            executor.shutdown()


def _room(nodes: list[dict[str, Any]], threads: int, device: str) -> tuple[int, dict[str, int]]:
    """How many workers there is room for, and what each takes of its machine."""
    resources = [node.get("Resources", {}) for node in nodes if node.get("Alive")]
    gpus = sum(int(node.get("GPU", 0)) for node in resources)
    if device.startswith("cuda") or (device == "auto" and gpus):
        if not gpus:
            raise InputError(f"got device={device} and a Ray cluster without GPUs; use device=cpu")
        return gpus, {"num_cpus": 1, "num_gpus": 1}
    room = sum(int(node.get("CPU", 0)) // threads for node in resources)
    if not room:
        largest = max((int(node.get("CPU", 0)) for node in resources), default=0)
        raise InputError(
            f"a worker takes {counted(threads, 'CPU')}, as torch has here, and the largest machine of the Ray cluster "
            f"has {largest}; set OMP_NUM_THREADS={max(largest, 1)} here"
        )
    return room, {"num_cpus": threads}
