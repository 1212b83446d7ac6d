"""Numbers of samples as they are given: looked at once, with an error that names the parameter."""

from collections.abc import Iterable
from numbers import Real

import numpy as np
from jaxtyping import Float, Int

from keepmap.core.arguments import shown
from keepmap.errors import InputError

__all__ = ["clusters_of", "is_between", "numbers_of", "table_of"]


def is_between(value: object, low: float | int, high: float | int) -> bool:
    """Whether it is a number above `low` and below `high`."""
    return isinstance(value, Real) and low < float(value) < high


def numbers_of(name: str, values: object) -> Float[np.ndarray, " n"]:
    """One finite number for each of n samples, n at least 1.

    Raises:
        InputError: anything else.
    """
    numbers = _finite(name, values, "a number for each")
    if numbers.ndim != 1 or not numbers.size:
        raise InputError(f"expected `{name}` to be a number for each, got an array of shape {numbers.shape}")
    return numbers


def table_of(
    name: str, values: object, shape: tuple[int | None, int | None] = (None, None)
) -> Float[np.ndarray, "n m"]:
    """A table of finite numbers, of that shape where it is known.

    Raises:
        InputError: anything else.
    """
    numbers = _finite(name, values, "a table of numbers")
    expected = tuple("any" if size is None else size for size in shape)
    fits = numbers.ndim == 2 and numbers.size
    if not fits or any(size not in (None, given) for size, given in zip(shape, numbers.shape, strict=True)):
        raise InputError(f"expected `{name}` to be a table of shape {expected}, got an array of shape {numbers.shape}")
    return numbers


def clusters_of(clusters: object, n: int) -> tuple[Int[np.ndarray, " n"], int]:
    """The number of each sample's cluster, and how many there are; without any, each sample is its own.

    Raises:
        InputError: not one for each of n samples, or one that cannot be told from others.
    """
    if clusters is None:
        return np.arange(n), n
    if isinstance(clusters, str) or not isinstance(clusters, Iterable):
        raise InputError(f"expected `clusters` to name each sample's, got {shown(clusters)}")
    named = [name.item() if isinstance(name, np.generic) else name for name in clusters]
    if len(named) != n:
        raise InputError(f"expected `clusters` of {n} samples, got {len(named)}")
    try:
        numbers = {name: at for at, name in enumerate(dict.fromkeys(named))}
    except TypeError:
        raise InputError(f"expected `clusters` to be names or numbers, got {shown(named)}") from None
    return np.array([numbers[name] for name in named]), len(numbers)


def _finite(name: str, values: object, kind: str) -> Float[np.ndarray, "..."]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"expected `{name}` to be {kind}, got {shown(values)}") from None
    if not np.isfinite(numbers).all():
        raise InputError(f"expected `{name}` to be finite numbers, got {numbers[~np.isfinite(numbers)][0]} among them")
    return numbers
