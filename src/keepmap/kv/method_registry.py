"""Name -> method, found by scanning `kv/methods/` at the first look-up: adding a method is adding one file."""

import functools
from typing import TYPE_CHECKING

from keepmap.core.scanning import named_classes
from keepmap.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from keepmap.kv.method import Method

__all__ = ["method_class", "method_names", "methods"]

_NEEDS = ("nothing", "position", "prefix", "received")


@functools.cache
def methods() -> "dict[str, type[Method]]":
    """Every method by name, ordered by what its score needs, then by name."""
    from keepmap.kv import methods as folder
    from keepmap.kv.method import Method

    found = named_classes(folder, Method)
    return dict(sorted(found.items(), key=lambda item: (_NEEDS.index(item[1].needs), item[0])))


def method_names() -> tuple[str, ...]:
    """The names of all methods."""
    return tuple(methods())


def method_class(name: str) -> "type[Method]":
    """The method called `name`.

    Raises:
        InputError: there is none; names the closest.
    """
    known = methods()
    if name not in known:
        raise InputError(f'unknown method "{name}", {did_you_mean(name, known)}')
    return known[name]
