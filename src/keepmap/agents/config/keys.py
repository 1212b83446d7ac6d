"""What a key of the configuration may hold, and how a value from a file or a command line is read as that."""

import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keepmap.core.joining.options import one_line
from keepmap.errors import InputError, did_you_mean

__all__ = ["Kind", "check_not_retired", "key", "read_value", "unknown_key"]

LARGEST = 2**63 - 1  # what files and generators can hold


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Which values a key of the configuration may have.

    Attributes:
        of: int, float, bool, str or dict.
        least, most: of a number.
        above, below: of a number that must not be that itself.
        among: of a text that is one of a few.
        optional: whether null is allowed.
        means: what the key says, for people.
    """

    of: type
    least: int | float = -math.inf
    most: int | float = math.inf
    above: int | float = -math.inf
    below: int | float = math.inf
    among: tuple[str, ...] = ()
    optional: bool = False
    means: str = ""

    def __str__(self) -> str:
        """What a value must be: "a whole number from 1, or null"."""
        if self.among:
            values = " or ".join(f'"{value}"' for value in self.among)
        else:
            values = _NAMES[self.of]
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("from", self.least),
                ("above", self.above),
                ("up to", self.most),
                ("below", self.below),
            )
            if math.isfinite(bound) and bound != LARGEST
        ]
        return " ".join([values, *bounds]) + (", or null" if self.optional else "")


_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "a mapping such as {name: recency, keep_recent: 10}",
}


def key(
    default: Any,
    of: type,
    means: str,
    *,
    least: int | float = -math.inf,
    most: int | float = math.inf,
    above: int | float = -math.inf,
    below: int | float = math.inf,
    among: tuple[str, ...] = (),
    optional: bool = False,
) -> Any:
    """A field of the configuration with its default and what it may hold."""
    if of is int:
        most = min(most, LARGEST)
    kind = Kind(
        of=of,
        least=least,
        most=most,
        above=above,
        below=below,
        among=among,
        optional=optional,
        means=means,
    )
    return field(default=default, metadata={"kind": kind}, hash=of is not dict)


def read_value(name: str, kind: Kind, value: object, origin: str = "") -> Any:
    """The value of a key as its type; whole floats become whole numbers, and text that is a number that number.

    Args:
        origin: where it was given, to begin an error with.

    Raises:
        InputError: it is of another type or out of range.
    """
    read = _converted(kind, value)
    if read is _UNUSABLE or not _allowed(kind, read):
        shown = "nothing" if value is None else _shown(value)
        raise InputError(f"{origin}{': ' if origin else ''}{name} is {shown}; it must be {kind}")
    return read


_UNUSABLE = object()


def _converted(kind: Kind, value: object) -> object:
    if value is None:
        return None if kind.optional else _UNUSABLE
    if kind.of is dict:
        return dict(value) if isinstance(value, Mapping) else _UNUSABLE
    if kind.of in (bool, str):
        return value if isinstance(value, kind.of) else _UNUSABLE
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return _UNUSABLE
    try:
        number = value if isinstance(value, int) else float(value)
        if kind.of is float:
            return float(number) if math.isfinite(number) else _UNUSABLE
        return int(number) if number == int(number) else _UNUSABLE
    except (ValueError, OverflowError):
        return _UNUSABLE


def _allowed(kind: Kind, value: Any) -> bool:
    if value is None or kind.of in (bool, dict):
        return True
    if kind.of is str:
        return value in kind.among if kind.among else bool(value.strip())
    return bool(kind.least <= value <= kind.most and kind.above < value < kind.below)


def unknown_key(name: object, known: Iterable[str], origin: str) -> InputError:
    """The error for a key that does not exist."""
    shown = name if isinstance(name, str) else reprlib.repr(name)
    guess = did_you_mean(shown[:60], known)
    if not guess.startswith("did you mean"):
        guess = "see docs/configuration.md for all keys"
    return InputError(f'{origin}: unknown key "{one_line(shown)}", {guess}')


def _shown(value: object) -> str:
    # A file can hold values whose text would be endless.
    return f'"{one_line(value)}"' if isinstance(value, str) else reprlib.repr(value)


RETIRED = {
    "dynamics": "the model predicts actions alone; remove the key",
    "dynamics_strength": "the model predicts actions alone; remove the key",
    "num_workers": "histories are read by the training process itself; remove the key",
    "n_process": "the learners of a goal share a policy, in one process; remove the key",
    "tf_dim_feedforward": "write tf_n_inner",
    "device": "the device is an option of the command line; remove the key",
    "task": "write env",
    "enable_compression": "write compressor: {name: recency, keep_recent: 10}, or leave it out",
    "compression_ratio": "write how many transitions are kept: compressor: {name: uniform, target_length: 32}",
}
"""Keys of the guide's repository that can mean nothing here -> why, and what to write in their place."""


def check_not_retired(name: str, origin: str) -> None:
    """Whether a key still has a meaning.

    Raises:
        InputError: it has none; says what to do.
    """
    if name in RETIRED:
        raise InputError(f'{origin}: the key "{name}" has no meaning here: {RETIRED[name]}')
