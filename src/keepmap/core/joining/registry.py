"""The one registry: name -> class, for everything of which adding one is adding one file.

A `Registry` finds the classes of a package at its first look-up; `keepmap.core.joining.plugins` adds those of a Python
file of the user's own.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import ModuleType
from typing import Any, Generic, TypeVar

from keepmap.core.joining.options import typed_options
from keepmap.errors import InputError, did_you_mean

__all__ = [
    "Registry",
    "registries",
]

Base = TypeVar("Base")

_REGISTRIES: list["Registry[Any]"] = []
_NAME = re.compile(r"\w+", re.ASCII)


class Registry(Generic[Base]):
    """Name -> class, of those under `base` that the modules of a package define with a `name` of their own.

    The package is scanned at the first look-up, so that its modules can import the one that holds the registry.

    Args:
        kind: what the classes are, in messages: "method".
        base: what they derive from.
        package: the dotted name of the package.
        declares: class variables that each of them has to have, beside `name`.
        supplied: fields without a default that keepmap fills itself; all others are options.
        order: a key of a class that sorts before its name does.
        check: raises an InputError where a class from outside cannot be used.
        joined, left: called once with each class as it is found, and as its plugin is unloaded.
    """

    def __init__(
        self,
        kind: str,
        base: type[Base],
        package: str,
        *,
        declares: Sequence[str] = (),
        supplied: Sequence[str] = (),
        order: Callable[[type[Base]], int] = lambda cls: 0,
        check: Callable[[type[Base]], None] = lambda cls: None,
        joined: Callable[[type[Base]], None] = lambda cls: None,
        left: Callable[[type[Base]], None] = lambda cls: None,
    ) -> None:
        self.kind = kind
        self.base = base
        self.declares = tuple(declares)
        self.supplied = tuple(supplied)
        self._check = check
        self._package = package
        self._order = order
        self._joined = joined
        self._left = left
        self._members: dict[str, Any] | None = None
        _REGISTRIES.append(self)

    def classes(self) -> dict[str, type[Base]]:
        """Every class by name, in order."""
        return self.members()

    def members(self) -> dict[str, Any]:
        """Whatever has a name here, in order."""
        if self._members is None:
            self._members = {}
            package = importlib.import_module(self._package)
            for info in pkgutil.iter_modules(package.__path__):
                module = importlib.import_module(f"{self._package}.{info.name}")
                for name, cls in self.defined_in(module):
                    assert name not in self._members, f"two classes of {self._package} are called {name}"
                    self.join(name, cls)
        return dict(sorted(self._members.items(), key=lambda item: (self._order(item[1]), item[0])))

    def named(self, name: str, parameter: str | None = None) -> type[Base]:
        """The class called `name`, the value of a parameter that by default has the name of the kind.

        Raises:
            InputError: there is none; names the closest.
        """
        known = self.classes()
        if name not in known:
            raise InputError(f'unknown {self.kind} "{name}" as `{parameter or self.kind}`, {did_you_mean(name, known)}')
        return known[name]

    def make(self, name: str, options: Mapping[str, object] | None = None, parameter: str | None = None) -> Base:
        """The class called `name` with these options; values may be text, as they come from a command line.

        Raises:
            InputError: no such class or option, or a value that the option cannot take.
        """
        cls = self.named(name, parameter)
        return cls(**typed_options(cls, options, f"the {self.kind} {name}"))

    def defined_in(self, module: ModuleType) -> list[tuple[str, type[Base]]]:
        """The classes under `base` that the module itself defines with a `name` of their own."""
        return [
            (vars(cls)["name"], cls)
            for _, cls in inspect.getmembers(module, inspect.isclass)
            if issubclass(cls, self.base) and cls.__module__ == module.__name__ and "name" in vars(cls)
        ]

    def join(self, name: str, cls: Any) -> None:
        """Add a class; the package has been scanned."""
        assert self._members is not None
        self._members[name] = cls
        self._joined(cls)

    def leave(self, name: str) -> None:
        """Take back a class that joined."""
        assert self._members is not None
        self._left(self._members.pop(name))

    def taken(self) -> set[str]:
        """The names that a class from outside cannot have."""
        return {*self.members()}

    def check_usable(self, name: object, cls: Any) -> None:
        """Check that a class from outside can stand where the package's own do, whose tests see to it.

        Raises:
            InputError: it cannot; the message goes on after the name of the class.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f" has the name {name!r}; expected letters, digits and _ alone")
        self._check_declared(cls, self.declares)
        if abstract := sorted(getattr(cls, "__abstractmethods__", ())):
            raise InputError(f" does not define `{abstract[0]}`, which every {self.kind} has")
        for option in fields(cls) if is_dataclass(cls) else ():
            if option.default is MISSING and option.default_factory is MISSING and option.name not in self.supplied:
                raise InputError(f" has no default for its option `{option.name}`; give it one")
        try:
            self._check(cls)
        except InputError as error:
            raise InputError(f": {error}") from error

    def check_value(self, value: Any, parameter: str) -> None:
        """Check that a value can stand where those of the package's own classes do; its class may be of any origin.

        Raises:
            InputError: its class lacks what every one declares.
        """
        cls = type(value)
        try:
            self._check_declared(cls, ("name", *self.declares))
        except InputError as error:
            raise InputError(f"expected `{parameter}` to be a {self.kind}, but {cls.__name__}{error}") from error

    def _check_declared(self, cls: Any, variables: Sequence[str]) -> None:
        if missing := [variable for variable in variables if not hasattr(cls, variable)]:
            raise InputError(f" has no class variable `{missing[0]}`; every {self.kind} declares it")


def registries() -> tuple[Registry[Any], ...]:
    """Every registry whose module has been imported."""
    return tuple(_REGISTRIES)
