"""The one registry: name -> class, for everything of which adding one is adding one file.

A `Registry` finds the classes of a package at its first look-up. `load_plugin` adds those of a Python file of the
user's own, to whichever registries they belong. What a command line or a file says to a class is read here too:
`a=b` settings, and options with the types that their defaults have.
"""

import hashlib
import importlib.machinery
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from keepmap.errors import InputError, did_you_mean

__all__ = [
    "Registry",
    "load_plugin",
    "load_plugins",
    "one_line",
    "plugins",
    "read_options",
    "split_setting",
    "typed_options",
    "unload_plugins",
]

Base = TypeVar("Base")

_REGISTRIES: list["Registry[Any]"] = []
_PLUGINS: dict[Path, list[tuple["Registry[Any]", str, type]]] = {}
"""Where a loaded plugin lies -> which names of it joined which registry."""

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
        self.check = check
        self._package = package
        self._order = order
        self._joined = joined
        self._left = left
        self._classes: dict[str, type[Base]] | None = None
        _REGISTRIES.append(self)

    def classes(self) -> dict[str, type[Base]]:
        """Every class by name, in order."""
        if self._classes is None:
            self._classes = {}
            package = importlib.import_module(self._package)
            for info in pkgutil.iter_modules(package.__path__):
                module = importlib.import_module(f"{self._package}.{info.name}")
                for name, cls in self.defined_in(module):
                    assert name not in self._classes, f"two classes of {self._package} are called {name}"
                    self.join(name, cls)
        return dict(sorted(self._classes.items(), key=lambda item: (self._order(item[1]), item[0])))

    def named(self, name: str) -> type[Base]:
        """The class called `name`.

        Raises:
            InputError: there is none; names the closest.
        """
        known = self.classes()
        if name not in known:
            raise InputError(f'unknown {self.kind} "{name}", {did_you_mean(name, known)}')
        return known[name]

    def make(self, name: str, options: Mapping[str, object] | None = None) -> Base:
        """The class called `name` with these options; values may be text, as they come from a command line.

        Raises:
            InputError: no such class or option, or a value that the option cannot take.
        """
        cls = self.named(name)
        return cls(**typed_options(cls, options, f"the {self.kind} {name}"))

    def defined_in(self, module: ModuleType) -> list[tuple[str, type[Base]]]:
        """The classes under `base` that the module itself defines with a `name` of their own."""
        return [
            (vars(cls)["name"], cls)
            for _, cls in inspect.getmembers(module, inspect.isclass)
            if issubclass(cls, self.base) and cls.__module__ == module.__name__ and "name" in vars(cls)
        ]

    def join(self, name: str, cls: type[Base]) -> None:
        """Add a class; the package has been scanned."""
        assert self._classes is not None
        self._classes[name] = cls
        self._joined(cls)

    def leave(self, name: str) -> None:
        """Take back a class that joined."""
        assert self._classes is not None
        self._left(self._classes.pop(name))


def typed_options(cls: type, options: Mapping[str, object] | None, owner: str) -> dict[str, Any]:
    """The options of the dataclass `cls`, each as what its default is; values may be text.

    Args:
        owner: whose options they are, for the messages: "the source ppo".

    Raises:
        InputError: an unknown option, or a value that is not of its type; no float is cut to a whole number.
    """
    known = {option.name: option.default for option in fields(cls)} if is_dataclass(cls) else {}
    values = {}
    for option, value in (options or {}).items():
        if option not in known:
            has = did_you_mean(option, known) if known else "it has none"
            raise InputError(f'unknown option "{one_line(option)}" of {owner}, {has}')
        values[option] = _typed(type(known[option]), value, f"{option} of {owner}")
    return values


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
        InputError: one has no "=".
    """
    return dict(split_setting(setting) for setting in settings)


def plugins() -> tuple[Path, ...]:
    """The files that `load_plugin` has loaded, in order: what another process needs to know the same names."""
    return tuple(_PLUGINS)


def load_plugins(paths: Iterable[str | Path]) -> None:
    """Load plugins, as another process has them.

    Raises:
        InputError: as `load_plugin`.
    """
    for path in paths:
        load_plugin(path)


def load_plugin(path: str | Path) -> tuple[str, ...]:
    """Run a Python file of the user's own; its classes with a `name` join the registries for this process.

    The file is run as a module whose private name follows from its path alone, so that a value of its classes can
    travel to another process that has loaded it. A file that was loaded before is not run again.

    Returns:
        The names that joined, sorted.

    Raises:
        InputError: no such file, it is not Python, it fails, a class cannot be used or its name is taken, or it
            defines nothing that has a registry.
    """
    file = Path(path).resolve()
    if file in _PLUGINS:
        return _names(file)
    module_name = _module_name(file)
    try:
        module = _run(file, module_name, str(path))
        classes = [(registry, name, cls) for registry in _REGISTRIES for name, cls in registry.defined_in(module)]
        if not classes:
            raise InputError(
                f"the plugin {path} defines nothing: expected a class with a `name` that derives from a base of "
                "keepmap, as keepmap.Scored, keepmap.Compressor or keepmap.Source"
            )
        taken = {registry.kind: {*registry.classes()} for registry, _, _ in classes}
        for registry, name, cls in classes:
            _check_usable(registry, name, cls, str(path))
            if name in taken[registry.kind]:
                raise InputError(
                    f'the plugin {path} defines the {registry.kind} "{name}", a name that is taken; choose another'
                )
            taken[registry.kind].add(name)
    except BaseException:
        sys.modules.pop(module_name, None)
        raise
    for registry, name, cls in classes:
        registry.join(name, cls)
    _PLUGINS[file] = classes
    return _names(file)


def unload_plugins() -> None:
    """Take every plugin back, so that an edited file can be loaded anew."""
    for file, classes in _PLUGINS.items():
        for registry, name, _ in classes:
            registry.leave(name)
        sys.modules.pop(_module_name(file), None)
    _PLUGINS.clear()


def _names(file: Path) -> tuple[str, ...]:
    return tuple(sorted(name for _, name, _ in _PLUGINS[file]))


def _module_name(file: Path) -> str:
    return f"_keepmap_plugin_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"


def _run(file: Path, module_name: str, shown: str) -> ModuleType:
    """The module that a file is, run."""
    if not file.is_file():
        reason = "it is a folder" if file.is_dir() else "no such file"
        raise InputError(f"cannot load the plugin {shown}: {reason}; name a Python file")
    loader = importlib.machinery.SourceFileLoader(module_name, str(file))
    try:
        loader.get_code(module_name)
    except OSError as error:
        raise InputError(f"cannot load the plugin {shown}: {error.strerror or error}") from error
    except (SyntaxError, ValueError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
        raise InputError(f"the plugin {shown} is not Python: {_first_line(error)}{line}") from error
    spec = importlib.util.spec_from_file_location(module_name, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[module_name] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"the plugin {shown} failed: {type(error).__name__}: {_first_line(error)}") from error
    return module


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return text.splitlines()[0] if text else "no message"


def _check_usable(registry: Registry[Any], name: object, cls: type, shown: str) -> None:
    """Whether the class can stand where the package's own do, whose tests see to it."""
    owner = f"the plugin {shown}: {cls.__name__}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"{owner} has the name {name!r}; expected letters, digits and _ alone")
    if missing := [variable for variable in registry.declares if not hasattr(cls, variable)]:
        raise InputError(f"{owner} has no class variable `{missing[0]}`; every {registry.kind} declares it")
    if abstract := sorted(getattr(cls, "__abstractmethods__", ())):
        raise InputError(f"{owner} does not define `{abstract[0]}`, which every {registry.kind} has")
    for option in fields(cls) if is_dataclass(cls) else ():
        if option.default is MISSING and option.default_factory is MISSING and option.name not in registry.supplied:
            raise InputError(f"{owner} has no default for its option `{option.name}`; give it one")
    try:
        registry.check(cls)
    except InputError as error:
        raise InputError(f"{owner}: {error}") from error


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
