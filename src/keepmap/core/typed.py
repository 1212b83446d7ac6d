"""Options by name, with the types that their defaults have: what a command line or a file says to a dataclass."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from keepmap.errors import InputError, did_you_mean

__all__ = ["typed_options"]


def typed_options(made: type, options: Mapping[str, object] | None, owner: str) -> dict[str, Any]:
    """The options of the dataclass `made`, each as what its default is; values may be text.

    Args:
        owner: whose options they are, for the messages: "the source ppo".

    Raises:
        InputError: an unknown option, or a value that is not of its type; no float is cut to a whole number.
    """
    known = {one.name: one.default for one in fields(made)}
    values = {}
    for option, value in (options or {}).items():
        if option not in known:
            has = did_you_mean(option, known) if known else "it has none"
            raise InputError(f'unknown option "{option}" of {owner}, {has}')
        values[option] = _as(type(known[option]), value, f"{option} of {owner}")
    return values


def _as(kind: type, value: object, what: str) -> object:
    if kind is bool:
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise InputError(f'"{value}" was given for {what}; it must be true or false')
    try:
        if isinstance(value, bool) and kind is not str:
            raise ValueError
        return kind(str(value))
    except ValueError:
        raise InputError(f'"{value}" was given for {what}; it must be of type {kind.__name__}') from None
