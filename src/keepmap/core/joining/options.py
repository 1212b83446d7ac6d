"""What a command line or a file says to a class: `a=b`, and options with the types of their defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from keepmap.core.arguments import shown
from keepmap.errors import InputError, did_you_mean

__all__ = ["as_options", "as_settings", "one_line", "read_options", "split_setting", "typed_options"]


def typed_options(cls: type, options: Mapping[str, object] | None, owner: str) -> dict[str, Any]:
    """The options of the dataclass `cls`, each as what its default is; values may be text.

    Args:
        owner: whose options they are, for the messages: "the source ppo".

    Raises:
        InputError: an unknown option, or a value that is not of its type; no float is cut to a whole number.
    """
    known = {option.name: option.default for option in fields(cls)} if is_dataclass(cls) else {}
    values = {}
    for option, value in as_options(options, owner).items():
        if option not in known:
            has = did_you_mean(option, known) if known else "it has none"
            raise InputError(f'unknown option "{one_line(option)}" of {owner}, {has}')
        values[option] = _typed(type(known[option]), value, f"{option} of {owner}")
    return values


def as_options(options: object, owner: str) -> Mapping[str, object]:
    """Options by name; None is for none of them.

    Raises:
        InputError: they are no mapping, or a name in it is no text.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InputError(f"expected `options` of {owner} to be a mapping, got {shown(options)}")
    for name in options:
        if not isinstance(name, str):
            raise InputError(f"expected `options` of {owner} to have names, got {shown(name)} as one")
    return options


def as_settings(settings: object) -> tuple[str, ...]:
    """The settings that the parameter `settings` was given: one, or several.

    >>> as_settings("n_transit=10"), as_settings(["n_transit=10", "horizon=5"])
    (('n_transit=10',), ('n_transit=10', 'horizon=5'))

    Raises:
        InputError: they are no texts.
    """
    if isinstance(settings, str):
        return (settings,)
    if not isinstance(settings, Sequence):
        raise InputError(f"expected `settings` to be name=value strings, got {shown(settings)}")
    for setting in settings:
        if not isinstance(setting, str):
            raise InputError(f"expected `settings` to be name=value strings, got {shown(setting)} among them")
    return tuple(settings)


def one_line(text: str) -> str:
    """The beginning of a user's text, fit for a message of one line."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:60])
    return shown + "..." * (len(text) > 60)


def split_setting(setting: str, example: str = "") -> tuple[str, str]:
    """`"a=b"` as name and value.

    Args:
        example: of such a setting, for the message.

    Raises:
        InputError: it has no "=", or nothing before it.
    """
    name, equals, value = (part.strip() for part in setting.partition("="))
    if not equals or not name:
        hint = f", as {example}" if example else ""
        raise InputError(f'expected name=value{hint}, got the setting "{one_line(setting)}"')
    return name, value


def read_options(settings: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=x"]` as a mapping.

    Raises:
        InputError: they are no texts, or one has no "=".
    """
    return dict(split_setting(setting) for setting in as_settings(settings))


def _typed(kind: type, value: object, what: str) -> object:
    if kind is bool:
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise InputError(f'expected {what} to be true or false, got "{one_line(str(value))}"')
    try:
        if isinstance(value, bool) and kind is not str:
            raise ValueError
        return kind(str(value))
    except ValueError:
        shown = one_line(str(value))
        raise InputError(f'expected {what} to be of type {kind.__name__}, got "{shown}"') from None
