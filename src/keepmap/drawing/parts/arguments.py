"""What callers hand to the figures, checked: one line that names the parameter, not an AttributeError deep inside."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes

from keepmap.core.keep_map import HasKeepMap, KeepMap
from keepmap.errors import InputError

__all__ = ["AxesLike", "check_kind", "flat_axes", "given_axes", "keep_map_of"]

AxesLike = Axes | Iterable[Axes] | np.ndarray
"""Axes, several of them, or the array that `Figure.subplots` gives."""


def keep_map_of(source: KeepMap | HasKeepMap) -> KeepMap:
    """A KeepMap as it is, or the one that an Eviction holds.

    Raises:
        InputError: neither.
    """
    keep_map = getattr(source, "keep_map", None)
    for value in (source, keep_map):
        if isinstance(value, KeepMap):
            return value
    raise _wrong_kind("keep_map", source, "a KeepMap or an Eviction")


def check_kind(name: str, value: object, kind: type, expected: str) -> None:
    """Check that a parameter is of a kind.

    Args:
        name: the parameter's.
        expected: what it takes, for the message.

    Raises:
        InputError: it is of another kind.
    """
    if not isinstance(value, kind):
        raise _wrong_kind(name, value, expected)


def _wrong_kind(name: str, value: object, expected: str) -> InputError:
    got = f"the class {value.__name__} itself" if isinstance(value, type) else type(value).__name__
    return InputError(f"expected `{name}` to be {expected}, got {got}")


def given_axes(ax: AxesLike, *counts: int, what: str = "") -> tuple[Axes, ...]:
    """The Axes to draw into, as a tuple.

    Args:
        counts: how many it may be.
        what: what each of them is for, in the message.

    Raises:
        InputError: no Axes, or another number of them.
    """
    axes = flat_axes("ax", ax, "Axes" if set(counts) == {1} else "Axes or a sequence of Axes")
    if len(axes) not in counts:
        allowed = " or ".join(str(count) for count in dict.fromkeys(counts))
        raise InputError(f"expected `ax` to be {allowed} Axes{what}, got {len(axes)} Axes")
    return axes


def flat_axes(name: str, axes: object, expected: str) -> tuple[Axes, ...]:
    """Axes, or several of them in whatever sequence or array, one after the other.

    Raises:
        InputError: something else.
    """
    if isinstance(axes, Axes):
        return (axes,)
    if isinstance(axes, str) or not isinstance(axes, Iterable):
        raise _wrong_kind(name, axes, expected)
    # Rows of Axes, which `Figure.subplots` gives, are an array; its elements stay as they are.
    flat = [*np.array([*axes], dtype=object).flat]
    for value in flat:
        if not isinstance(value, Axes):
            raise InputError(
                f"expected `{name}` to be {expected}, got a {type(axes).__name__} of {type(value).__name__}"
            )
    return tuple(flat)
