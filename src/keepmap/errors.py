"""What keepmap raises when the fault is not its own.

    KeepmapError                what every one of them is
    ├── InputError              an option or a data file is not usable        (also a ValueError)
    ├── ModelError              a model, tokenizer or surrogate is not usable (also a ValueError)
    ├── OutputError             a result cannot be written                    (also an OSError)
    ├── WorkerError             a worker process died too often               (also a RuntimeError)
    └── ImpossibleResultError   a number broke an invariant: a bug, or a broken model (also an ArithmeticError)

A message is one line: what was asked, what was found, what to do. The command line prints it after `error: ` and
exits with 2; `assert` is kept for our own bugs.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "ImpossibleResultError",
    "InputError",
    "KeepmapError",
    "ModelError",
    "OutputError",
    "WorkerError",
    "did_you_mean",
]


class KeepmapError(Exception):
    """The base of every error that keepmap raises on purpose."""


class InputError(KeepmapError, ValueError):
    """An option or a data file is not usable as given."""


class ModelError(KeepmapError, ValueError):
    """A model, a tokenizer or a surrogate cannot be loaded, or cannot be done right."""


class OutputError(KeepmapError, OSError):
    """A result cannot be written where it was asked for."""


class WorkerError(KeepmapError, RuntimeError):
    """A worker process died, and so did the one that took over its work."""


class ImpossibleResultError(KeepmapError, ArithmeticError):
    """A number broke an invariant (a density above 1, an eviction that changed nothing, a NaN)."""


def did_you_mean(asked: str, known: Iterable[str]) -> str:
    """The end of an error message: the close match to `asked` if there is one, else all that is known."""
    known = sorted(known)
    close = difflib.get_close_matches(asked, known, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known: {', '.join(known)}"
