"""The client of the hub, and what it prints that nobody asked for."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_retries"]


@contextmanager
def without_retries() -> Iterator[None]:
    """Without the lines that the hub's client logs of each retry; the failure after the last one is raised.

    >>> client = logging.getLogger("huggingface_hub")
    >>> before = client.level
    >>> with without_retries():
    ...     client.isEnabledFor(logging.ERROR)
    False
    >>> client.level == before
    True
    """
    client = logging.getLogger("huggingface_hub")
    before = client.level
    client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(before)
