"""What callers hand to the figures, checked: one line that names the parameter, not an AttributeError deep inside."""

from collections.abc import Iterable
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from matplotlib.axes import Axes

from keepmap.core.keep_map import KeepMap
from keepmap.errors import InputError

__all__ = ["AxesLike", "HasKeepMap", "checked", "flat_axes", "given_axes", "keep_map_of"]

_T = TypeVar("_T")

AxesLike = Axes | Iterable[Axes] | np.ndarray
"""Axes, several of them, or the array that `Figure.subplots` gives."""


@runtime_checkable
class HasKeepMap(Protocol):
    """What was made with a KeepMap and holds it, as an Eviction does."""

    @property
    def keep_map(self) -> KeepMap:
        """What was kept."""


def keep_map_of(source: KeepMap | HasKeepMap) -> KeepMap:
    """A KeepMap as it is, or the one that an Eviction holds.

    Raises:
        InputError: neither.
    """
    return checked("keep_map", getattr(source, "keep_map", source), KeepMap, "a KeepMap or an Eviction", source)


def checked(name: str, value: object, kind: type[_T], expected: str, given: object = None) -> _T:
    """The value, if it is of that kind.

    Args:
        name: the parameter's.
        expected: what it takes, for the message.
        given: what the caller handed over, where the value is only a part of it.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, kind):
        return value
    got = value if given is None else given
    what = f"the class {got.__name__} (create one first)" if isinstance(got, type) else type(got).__name__
    raise InputError(f"expected {expected} as `{name}`, got {what}")


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
        raise InputError(f"expected {allowed} Axes as `ax`{what}, got {len(axes)} Axes")
    return axes


def flat_axes(name: str, axes: object, expected: str) -> tuple[Axes, ...]:
    """Axes, or several of them in whatever sequence or array, one after the other.

    Raises:
        InputError: something else.
    """
    if not isinstance(axes, Iterable):
        return (checked(name, axes, Axes, expected),)
    # Rows of Axes, which `Figure.subplots` gives, are an array; its elements stay as they are.
    flat = [*np.array([*axes], dtype=object).flat]
    strange = next((value for value in flat if not isinstance(value, Axes)), None)
    if strange is not None or isinstance(axes, str):
        raise InputError(f"expected {expected} as `{name}`, got a {type(axes).__name__} of {type(strange).__name__}")
    return tuple(flat)
