"""Records from files: every field is of its type, or it is an error."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

__all__ = ["as_record", "typed"]

Record = TypeVar("Record")


def as_record(kind: type[Record], values: Any) -> Record:
    """A record whose fields all have their types: plain ones, records, and mappings from names to numbers.

    Raises:
        ValueError: they have not. KeyError: one is missing.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"expected the fields of a {kind.__name__}, got {type(values).__name__}")
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    checked: dict[str, Any] = {name: _checked(values[name], hints[name], name) for name in names}
    return kind(**checked)


def _checked(value: Any, hint: Any, name: str) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else as_record(hint, value)
    if get_origin(hint) is Mapping:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} is of type {type(value).__name__}")
        return {typed(key, str, name): typed(number, get_args(hint)[1], name) for key, number in value.items()}
    return typed(value, hint, name)


def typed(value: Any, hint: Any, name: str) -> Any:
    """The value, where it is of its type: a bool is not a number, and a text is printable.

    >>> typed(3, float | None, "nll")
    3.0

    Raises:
        ValueError: it is not.
    """
    allowed = get_args(hint) or (hint,)
    if type(value) is int and float in allowed and int not in allowed:
        value = float(value)
    if type(value) not in allowed or (value is None and NoneType not in allowed):
        raise ValueError(f"{name} is of type {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is not finite")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{name} has characters that are not printable")
    return value
