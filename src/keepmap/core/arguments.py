"""Numbers that callers pass: each is checked in one place, and what is no such number is one line."""

import math
from pathlib import Path

import numpy as np

from keepmap.errors import InputError, kind_of

__all__ = ["as_integer", "as_number", "as_path", "shown"]


def as_integer(name: str, value: object, at_least: int = 0) -> int:
    """The integer that the parameter `name` was given.

    >>> as_integer("window", 128)
    128

    Raises:
        InputError: it is no integer, or a smaller one.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= at_least:
        return int(value)
    raise InputError(f"expected `{name}` to be an integer of {at_least} or more, got {shown(value)}")


def as_number(name: str, value: object, lowest: float = -math.inf, highest: float = math.inf) -> float:
    """The number that the parameter `name` was given; infinite ones are numbers, NaN is none.

    Raises:
        InputError: it is no number, or lies outside of lowest..highest.
    """
    if (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and lowest <= value <= highest
    ):
        return float(value)
    bounded = f" in [{lowest:g}, {highest:g}]" if (lowest, highest) != (-math.inf, math.inf) else ""
    raise InputError(f"expected `{name}` to be a number{bounded}, got {shown(value)}")


def as_path(name: str, value: object) -> Path:
    """The path that the parameter `name` was given.

    Raises:
        InputError: it is neither a string nor a Path.
    """
    if isinstance(value, str | Path):
        return Path(value)
    raise InputError(f"expected `{name}` to be a path, got {shown(value)}")


def shown(value: object) -> str:
    """What was given instead, on one line: a plain value as it is written, anything else by its kind."""
    if value is None or isinstance(value, bool | str | int | float | np.integer | np.floating):
        return f"{value!r:.60}"
    return kind_of(value)
