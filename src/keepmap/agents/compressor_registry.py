"""Name -> compressor, found by scanning this folder at the first look-up: adding one is adding one file."""

import functools
from collections.abc import Mapping

from keepmap.agents import compressors as folder
from keepmap.agents.compressor import Compressor
from keepmap.core.scanning import named_classes
from keepmap.core.typed import typed_options
from keepmap.errors import InputError, did_you_mean

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
    return made(**typed_options(made, options, f"the compressor {name}"))
