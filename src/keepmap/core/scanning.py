"""Finding what a folder of modules holds: adding a method, a compressor or a source is adding one file."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

__all__ = ["named_classes"]

Base = TypeVar("Base")


def named_classes(folder: ModuleType, base: type[Base]) -> dict[str, type[Base]]:
    """Name -> class, of those under `base` that the folder's modules define with a `name` of their own."""
    found: dict[str, type[Base]] = {}
    for module_info in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"{folder.__name__}.{module_info.name}")
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, base) and value.__module__ == module.__name__ and "name" in vars(value):
                name = vars(value)["name"]
                assert name not in found, f"two classes of {folder.__name__} are called {name}"
                found[name] = value
    return dict(sorted(found.items()))
