"""Name -> compressor, found by scanning this folder at the first look-up: adding one is adding one file."""

import functools
from collections.abc import Mapping
from dataclasses import fields

from keepmap.errors import InputError, did_you_mean
from keepmap.methods import history as folder
from keepmap.methods.history.base import Compressor
from keepmap.scanning import named_classes

__all__ = ["compressor_class", "compressors", "make_compressor"]


@functools.cache
def compressors() -> dict[str, type[Compressor]]:
    """Every compressor by name, in alphabetical order."""
    return named_classes(folder, Compressor)  # type: ignore[type-abstract]


def compressor_class(name: str) -> type[Compressor]:
    """The compressor called `name`.

    Raises:
        InputError: there is none; names the closest.
    """
    known = compressors()
    if name not in known:
        raise InputError(f'unknown compressor "{name}", {did_you_mean(name, known)}')
    return known[name]


def make_compressor(name: str, options: Mapping[str, object] | None = None) -> Compressor:
    """The compressor called `name` with these options; values may be text, as they come from a command line.

    Raises:
        InputError: no such compressor or option, or a value that the option cannot take.
    """
    made = compressor_class(name)
    known = {one.name: one.default for one in fields(made)}
    values = {}
    for option, value in (options or {}).items():
        if option not in known:
            raise InputError(f'unknown option "{option}" of the compressor {name}, {did_you_mean(option, known)}')
        values[option] = _as(type(known[option]), value, f"{option} of the compressor {name}")
    return made(**values)


def _as(kind: type, value: object, what: str) -> int | float | bool:
    """The value as what the option's default is; no float is cut to a whole number."""
    if kind is bool:
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise InputError(f'"{value}" was given for {what}; it must be true or false')
    try:
        if isinstance(value, bool):
            raise ValueError
        return int(str(value)) if kind is int else float(str(value))
    except ValueError:
        raise InputError(f'"{value}" was given for {what}; it must be of type {kind.__name__}') from None
