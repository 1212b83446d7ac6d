"""Which job is begun next: large ones first, so that the last ones to end are small; what was lost goes before all."""

from collections import Counter, deque
from collections.abc import Sequence

__all__ = ["LOSSES", "Schedule"]

LOSSES = 5
"""How many workers a job may cost before the run gives up. More than processes of our own may: on many machines one is
lost now and then through no fault of the job, and a pool of processes that breaks loses all jobs that it has begun."""


class Schedule:
    """The jobs of a run by their numbers: which is next, and whether any is left.

    Large is what is larger than the mean. The others are begun in their order: were all sorted, the smallest would come
    at once in the end, faster than one process writes results.

    Args:
        sizes: of each job, in any unit.

    >>> schedule = Schedule([1.0, 9.0, 2.0])
    >>> schedule.next(), schedule.next()
    (1, 0)
    >>> schedule.lost(1)
    1
    >>> schedule.next(), schedule.next(), schedule.next()
    (1, 2, None)
    """

    def __init__(self, sizes: Sequence[float]) -> None:
        self.n_left = len(sizes)
        mean = sum(sizes) / max(1, self.n_left)
        self._waiting = deque(sorted(range(self.n_left), key=lambda index: -max(sizes[index], mean)))
        self._losses: Counter[int] = Counter()

    def next(self) -> int | None:
        """The job to begin now; None where all are begun."""
        return self._waiting.popleft() if self._waiting else None

    def done(self, index: int) -> None:
        """A job that was begun is done."""
        self.n_left -= 1

    def lost(self, index: int) -> int:
        """A job that was begun is to be done again, since its worker is gone; how often that has happened to it."""
        self._waiting.appendleft(index)
        self._losses[index] += 1
        return self._losses[index]
