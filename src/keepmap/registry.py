"""Name -> method, found by scanning `methods/kv/` at the first look-up: adding a method is adding one file."""

import functools
import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

from keepmap.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from keepmap.methods.base import Method

__all__ = ["method_class", "method_names", "methods"]

_NEEDS = ("nothing", "position", "prefix", "received")


@functools.cache
def methods() -> "dict[str, type[Method]]":
    """Every method by name, ordered by what its score needs, then by name."""
    from keepmap.methods import kv
    from keepmap.methods.base import Method

    found: dict[str, type[Method]] = {}
    for module_info in pkgutil.iter_modules(kv.__path__):
        module = importlib.import_module(f"{kv.__name__}.{module_info.name}")
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Method) and value.__module__ == module.__name__ and "name" in vars(value):
                assert value.name not in found, f"two methods are called {value.name}"
                found[value.name] = value
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
