"""The command line that began a run, so that it can be given again."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["OVERWRITE", "command", "repeating", "typing"]

OVERWRITE = "--overwrite"
"""The option that replaces another run; what goes on must not say it again."""

_words: ContextVar[tuple[str, ...]] = ContextVar("keepmap_command", default=())


@contextmanager
def typing(words: Sequence[str]) -> Iterator[None]:
    """Inside, these are the words that the user has typed.

    >>> with typing(["keepmap", "compare", "--overwrite"]):
    ...     command()
    ('keepmap', 'compare')
    """
    token = _words.set(tuple(words))
    try:
        yield
    finally:
        _words.reset(token)


def command() -> tuple[str, ...]:
    """The words of the command that goes on with what is done now; none where Python has called keepmap."""
    return tuple(word for word in _words.get() if word != OVERWRITE)


def repeating(verb: str, options: Mapping[str, Any], function: Callable[..., object]) -> tuple[str, ...]:
    """The words that make a run again elsewhere: those of its options that are not the function's defaults.

    >>> def compare(data_path, seed=0, methods="all", strict=False): ...
    >>> repeating("compare", {"data_path": "d.jsonl", "seed": 0, "methods": ["h2o", "random"], "strict": True}, compare)
    ('keepmap', 'compare', '--data_path', 'd.jsonl', '--methods', 'h2o', 'random', '--strict')
    """
    parameters = inspect.signature(function).parameters
    words = ["keepmap", verb]
    for name, value in options.items():
        if isinstance(value, Mapping):
            value = {key: item for key, item in value.items() if item is not None}
        if value in (None, False, {}) or name not in parameters or value == parameters[name].default:
            continue
        if isinstance(value, Mapping):
            value = json.dumps(value)
        values = [] if value is True else value if isinstance(value, list | tuple) else [value]
        words += [f"--{name}", *map(str, values)]
    return tuple(words)
