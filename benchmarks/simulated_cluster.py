"""A cluster whose clock is simulated, as an executor: the code that spreads a run over real ones runs on it unchanged.

A worker loads the model with its first call, takes the time that a job says, may die at any moment, and is replaced.
Calls that wait are handed to idle workers at once; the driver's own work on each reply is time that passes for it.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from keepmap.core.executors.calls import Reply

__all__ = ["Cluster", "Times"]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds.

    Attributes:
        load: that a worker takes for its model. restart: until another one is there in place of one that died.
        between_deaths: of one worker, on the mean. handling: of the driver, for each reply.
    """

    load: float
    restart: float
    between_deaths: float
    handling: float


class Cluster(Executor):
    """Workers on a simulated clock. A call's job is how many seconds it takes; `wait` lets time pass.

    Attributes:
        slots: how many calls it is given at once. now: the driver's time.
        useful: seconds that workers have spent on jobs which came to an end. deaths: how many of them died.
    """

    def __init__(self, n_workers: int, times: Times, seed: int = 0) -> None:
        self.n_workers, self.slots = n_workers, 2 * n_workers
        self.now = self.useful = 0.0
        self.deaths = 0
        self._times, self._random = times, random.Random(seed)
        self._number = itertools.count()
        self._waiting: deque[tuple[Future[Any], Any]] = deque()
        self._idle = [False] * n_workers
        self._dies_at = [0.0] * n_workers
        self._events: list[tuple[float, int, Callable[[float], None]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """A call of `answer`: of it, only how long its job takes is looked at."""
        future: Future[Any] = Future()
        if not any(self._idle) and not self._events:
            for worker in range(self.n_workers):
                self._begin(worker, 0.0)
        self._waiting.append((future, args[0].job))
        self._hand_out(self.now)
        return future

    def wait(self, futures: "Collection[Future[Any]]") -> "Collection[Future[Any]]":
        """Let time pass until one of them has ended; what ends while the driver is at work is there when it comes."""
        while True:
            while self._events and self._events[0][0] <= self.now:
                time, _, event = heapq.heappop(self._events)
                event(time)
            ended = [future for future in futures if future.done()]
            if ended:
                self.now += self._times.handling * len(ended)
                return ended
            self.now = self._events[0][0]

    def busy(self) -> float:
        """The share of all workers' time, until now, that was spent on jobs which came to an end."""
        return self.useful / (self.n_workers * self.now)

    def _at(self, time: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (time, next(self._number), event))

    def _begin(self, worker: int, time: float) -> None:
        """A worker is there from `time` on, and loads its model."""
        dies_at = time + self._random.expovariate(1 / self._times.between_deaths)

        def loaded(now: float) -> None:
            self._idle[worker] = True
            self._dies_at[worker] = dies_at
            self._hand_out(now)

        self._at(time + self._times.load, loaded)

    def _hand_out(self, now: float) -> None:
        for worker in [worker for worker, idle in enumerate(self._idle) if idle][: len(self._waiting)]:
            self._idle[worker] = False
            self._work(worker, *self._waiting.popleft(), now)

    def _work(self, worker: int, future: "Future[Any]", seconds: float, now: float) -> None:
        def dies(time: float) -> None:
            self.deaths += 1
            future.set_exception(ConnectionError("the worker died"))
            self._begin(worker, time + self._times.restart)

        def ends(time: float) -> None:
            self.useful += seconds
            future.set_result(Reply(sent=()))
            self._idle[worker] = True
            self._hand_out(time)

        dies_at = self._dies_at[worker]
        self._at(*((max(now, dies_at), dies) if dies_at < now + seconds else (now + seconds, ends)))
