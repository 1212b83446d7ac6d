"""Samples of a wanted length in tokens: the size of a task's haystack is found by halving."""

import random
from collections.abc import Callable

from keepmap.errors import InputError, counted
from keepmap.kv.tasks.making.haystack import Haystack
from keepmap.kv.tasks.task import Task, TaskSample

__all__ = ["sample_of_length"]

_MOST = 1 << 20


def sample_of_length(
    task: Task, seed: int, index: int, length: int, measure: Callable[[TaskSample], int], haystack: Haystack
) -> TaskSample:
    """The longest sample of the task that measures `length` at most: the same for the same seed and index.

    Args:
        measure: the tokens of a sample: its context, with the longest of its questions.

    Raises:
        InputError: the task is longer than that without any haystack.
    """

    def sized(size: int) -> TaskSample:
        return task.sample(random.Random(f"{task.name}:{seed}:{index}"), size, haystack)

    least = sized(0)
    if (tokens := measure(least)) > length:
        raise InputError(
            f"expected `length` to be {tokens} or more, which {task.name} takes, got {counted(length, 'token')}"
        )
    low, high = 0, 1
    while measure(sized(high)) <= length:
        low, high = high, 2 * high
        if high > _MOST:
            raise InputError(f"the task {task.name} never fills `length`={length}: its samples do not grow with `size`")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(sized(middle)) <= length else (low, middle)
    return sized(low) if low else least
