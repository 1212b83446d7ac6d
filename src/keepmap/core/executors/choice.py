"""Which executor a parameter means: one of `concurrent.futures`, or a Ray cluster by a word."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from keepmap.core.arguments import as_integer
from keepmap.errors import InputError, did_you_mean, kind_of

__all__ = ["as_executor", "opened_executor"]

RAY = "ray"
EXPECTED = 'an Executor of concurrent.futures, "ray" or "ray://HOST:PORT"'


def as_executor(name: str, value: object) -> Executor | str | None:
    """The executor that the parameter `name` was given, or the word that stands for one; None for none.

    >>> as_executor("executor", None) is None
    True

    Raises:
        InputError: it is neither.
    """
    if value is None or isinstance(value, Executor):
        return value
    if not isinstance(value, str):
        wanted = f"; call {value.__name__}(...)" if isinstance(value, type) and issubclass(value, Executor) else ""
        raise InputError(f"expected `{name}` to be {EXPECTED}, got {kind_of(value)}{wanted}")
    word, separator, place = value.partition("://")
    if word != RAY:
        guess = did_you_mean(word, [RAY])
        raise InputError(
            f'expected `{name}` to be {EXPECTED}, got "{value}"{"; " + guess if guess.startswith("did") else ""}'
        )
    host, colon, port = place.rpartition(":")
    if separator and not (host and colon and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise InputError(f'expected `{name}` to name a host and a port, as "ray://head-node:10001", got "{value}"')
    return value


@contextmanager
def opened_executor(
    value: Executor | str | None, workers: int | None, threads: int, device: str
) -> Iterator[Executor | None]:
    """The executor that `as_executor` gave, for the time of a `with`; a user's own one stays open after it.

    Args:
        workers: of a Ray cluster, how many; None for as many as it has room for.
        threads: of torch, in each worker.
        device: what the model runs on there.

    Raises:
        InputError: there is no such cluster, Ray is not installed, or `workers` with an executor that has its own.
    """
    if not isinstance(value, str):
        if value is not None and workers is not None:
            raise InputError("got `workers` and an `executor`, which has its own workers; leave one of them out")
        yield value
        return
    if workers is not None:
        workers = as_integer("workers", workers, 1)
    from keepmap.core.executors.cluster import ray_executor

    with ray_executor(value, workers=workers, threads=threads, device=device) as executor:
        yield executor
