"""Name -> source, found by scanning `training/sources/` at the first look-up: adding one is adding one file."""

import functools
from collections.abc import Mapping, Sequence

from keepmap.agents.collection import sources as folder
from keepmap.agents.collection.source import Source
from keepmap.core.scanning import named_classes
from keepmap.core.typed import typed_options
from keepmap.errors import InputError, did_you_mean

__all__ = ["make_source", "read_options", "source_class", "sources"]


@functools.cache
def sources() -> dict[str, type[Source]]:
    """Every source by name, in alphabetical order."""
    return named_classes(folder, Source)  # type: ignore[type-abstract]


def source_class(name: str) -> type[Source]:
    """The source called `name`.

    Raises:
        InputError: there is none; names the closest.
    """
    known = sources()
    if name not in known:
        raise InputError(f'unknown source "{name}", {did_you_mean(name, known)}')
    return known[name]


def make_source(name: str, options: Mapping[str, str | int | float | bool] | None = None) -> Source:
    """The source called `name` with these options; values may be text, as they come from a command line.

    Raises:
        InputError: no such source or option, or a value that the option cannot take.
    """
    made = source_class(name)
    return made(**typed_options(made, options, f"the source {name}"))


def read_options(settings: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=x"]` as a mapping.

    Raises:
        InputError: one has no "=".
    """
    for setting in settings:
        if "=" not in setting:
            raise InputError(f'the setting "{setting}" was given; write name=value')
    return {name: value for name, _, value in (setting.partition("=") for setting in settings)}
