"""What callers pass: each kind is checked in one place, and what is not of that kind is one line."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from keepmap.errors import InputError, kind_of

__all__ = [
    "LARGEST",
    "as_array",
    "as_flag",
    "as_function",
    "as_integer",
    "as_integers",
    "as_number",
    "as_path",
    "as_size",
    "as_string",
    "check_options",
    "shown",
]

LARGEST = 2**63 - 1
"""The largest integer that tensors, arrays and files hold."""


ENDLESS = 2**60
"""A number of positions that no text has, of which a few can be added up."""


def as_integer(name: str, value: object, at_least: int | None = 0, at_most: int | None = LARGEST) -> int:
    """The integer that the parameter `name` was given.

    >>> as_integer("window", 128)
    128

    Args:
        at_least: None where negative ones are taken too.
        at_most: None where any size is taken.

    Raises:
        InputError: it is no integer, a smaller or a larger one.
    """
    lowest = -LARGEST if at_least is None else at_least
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    highest = float("inf") if at_most is None else at_most
    if is_integer and lowest <= value <= highest:  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload]
    bounds = "" if at_least is None or at_least < -LARGEST else f" of {at_least} or more"
    if is_integer and value > highest:  # type: ignore[operator]
        bounds = f" of {at_most} or less"
    raise InputError(f"expected `{name}` to be an integer{bounds}, got {shown(value)}")


def as_size(name: str, value: object, at_least: int = 0) -> int:
    """The number of positions that the parameter `name` was given; more than any text has are all the same.

    >>> as_size("window", 128), as_size("window", 10**30) == as_size("window", 10**20)
    (128, True)

    Raises:
        InputError: it is no integer, or a smaller one.
    """
    return min(as_integer(name, value, at_least, None), ENDLESS)


def as_integers(name: str, value: object) -> list[int]:
    """The integers that the parameter `name` was given: one, or several.

    >>> as_integers("heads", 2), as_integers("heads", (0, 1))
    ([2], [0, 1])

    Raises:
        InputError: it is neither; nothing is said of how many there are.
    """
    try:
        values = [*value] if isinstance(value, Iterable) else [value]
    except TypeError:  # a tensor without dimensions says that it can be iterated over
        values = [None]
    if all(isinstance(part, int | np.integer) and not isinstance(part, bool) for part in values):
        return [int(part) for part in values]  # type: ignore[arg-type]
    raise InputError(f"expected `{name}` to be an integer or several, got {shown(value)}")


def as_number(name: str, value: object, lowest: float = -math.inf, highest: float = math.inf) -> float:
    """The number that the parameter `name` was given; infinite ones are numbers, NaN is none.

    Raises:
        InputError: it is not a number, or lies outside of lowest..highest.
    """
    if (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and lowest <= value <= highest
    ):
        return float(value)
    bounded = f" in [{lowest:g}, {highest:g}]" if (lowest, highest) != (-math.inf, math.inf) else ""
    raise InputError(f"expected `{name}` to be a number{bounded}, got {shown(value)}")


def as_array(name: str, value: object) -> Shaped[np.ndarray, "..."]:
    """The numbers that the parameter `name` was given, in whatever list, array or tensor.

    Raises:
        InputError: they are no numbers, or not of one shape.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf":
        raise InputError(f"expected `{name}` to be an array of numbers, got {shown(value)}")
    return array


def as_string(name: str, value: object) -> str:
    """The text that the parameter `name` was given.

    Raises:
        InputError: it is no string, or one with half of a surrogate pair, which is no text.
    """
    if not isinstance(value, str):
        raise InputError(f"expected `{name}` to be a string, got {shown(value)}")
    if re.search("[\ud800-\udfff]", value):
        raise InputError(f"expected `{name}` to be text, got half of a surrogate pair in {shown(value)}")
    return value


def as_path(name: str, value: object) -> Path:
    """The path that the parameter `name` was given.

    Raises:
        InputError: it is neither a string nor a Path, a name that no file can have, or a place that may not be looked
            at.
    """
    # To Python, bytes of a name that are not UTF-8 are U+DC80 to U+DCFF; no name has other halves of surrogate pairs.
    possible = not re.search("[\0\ud800-\udc7f\udd00-\udfff]", str(value))
    if not isinstance(value, str | Path) or not str(value) or not possible:
        raise InputError(f"expected `{name}` to be a path, got {shown(value)}")
    path = Path(value)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InputError(
            f"expected `{name}` to be a path, got {shown(str(value))}: {error.strerror or error}"
        ) from None
    return path


def as_flag(name: str, value: object) -> bool:
    """The truth that the parameter `name` was given.

    Raises:
        InputError: it is neither True nor False.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise InputError(f"expected `{name}` to be True or False, got {shown(value)}")


def as_function(name: str, value: Any) -> Any:
    """The function that the parameter `name` was given, or None.

    >>> as_function("progress", print) is print
    True

    Raises:
        InputError: it is something else.
    """
    if value is None or callable(value):
        return value
    raise InputError(f"expected `{name}` to be a function or None, got {shown(value)}")


def check_options(options: Any) -> None:
    """Check each field of a dataclass's value that is a plain one: what its annotation says is what it holds.

    Fields that are annotated with anything but bool, int, float, str or a Callable are left to the class, and so are
    the ranges of numbers.

    Raises:
        InputError: one is of another kind; names it.
    """
    for option in fields(options):
        kind, value = getattr(option.type, "__name__", option.type), getattr(options, option.name)
        if kind == "Callable" and not callable(value):
            raise InputError(f"expected `{option.name}` to be a function, got {shown(value)}")
        if kind in _PLAIN and not (kind == "float" and isinstance(value, float)):
            _PLAIN[kind](option.name, value)


def shown(value: object) -> str:
    """What was given instead, on one line: a plain value as it is written, anything else by its kind."""
    if value is None or isinstance(value, bool | str | int | float | np.integer | np.floating):
        return f"{value!r:.60}"
    return kind_of(value)


_PLAIN: dict[str, Callable[[str, object], object]] = {
    "bool": as_flag,
    # A seed is hashed, whatever its size.
    "int": lambda name, value: as_integer(name, value, None, None if name == "seed" else LARGEST),
    "float": as_number,
    "str": as_string,
}
"""What checks a field of each annotation."""
