"""Plugins: Python files of the user's own, whose classes and functions join the registries for this process.

What fails in such a file's code is the user's to mend: `plugin_faults` says on one line what failed, and where.
"""

import hashlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from keepmap.core.arguments import as_path
from keepmap.core.joining.registry import Registry, registries
from keepmap.errors import InputError, KeepmapError

__all__ = ["joined", "load_plugin", "load_plugins", "plugin_faults", "plugins", "plugins_with", "unload_plugins"]

_PLUGINS: dict[Path, list[tuple[Registry[Any], str, Any]]] = {}
"""Where a loaded plugin lies -> which names of it joined which registry."""


def plugins() -> tuple[Path, ...]:
    """The files that `load_plugin` has loaded, in order: what another process needs to know the same names."""
    return tuple(_PLUGINS)


def joined(kind: str) -> dict[str, Any]:
    """What plugins have added to the registry of this kind, by name; none is loaded for this."""
    return {name: thing for things in _PLUGINS.values() for registry, name, thing in things if registry.kind == kind}


def plugins_with(*classes: type) -> tuple[Path, ...]:
    """The files of `plugins` that define one of these classes."""
    return tuple(path for path, things in _PLUGINS.items() if any(thing in classes for *_, thing in things))


def load_plugins(paths: Iterable[str | Path]) -> None:
    """Load plugins, as another process has them.

    Raises:
        InputError: as `load_plugin`.
    """
    for path in paths:
        load_plugin(path)


def load_plugin(path: str | Path) -> tuple[str, ...]:
    """Run a Python file of the user's own; what it defines joins the registries for this process.

    These are its classes with a `name`, and its functions that `keepmap.figure` marks. The file is run as a module
    whose private name follows from its path alone, so that a value of its classes can travel to another process that
    has loaded it. A file that was loaded before is not run again.

    Returns:
        The names that joined, sorted.

    Raises:
        InputError: no such file, it is not Python, it fails, a class cannot be used or its name is taken, or it
            defines nothing that has a registry.
    """
    file = as_path("path", path).resolve()
    if file in _PLUGINS:
        return _names(file)
    module_name = _module_name(file)
    try:
        module = _run(file, module_name, str(path))
        things = [(registry, name, thing) for registry in registries() for name, thing in registry.defined_in(module)]
        if not things:
            raise InputError(
                f"the plugin {path} defines nothing: expected a class with a `name` that derives from a base of "
                "keepmap, as keepmap.Scored, keepmap.Compressor or keepmap.Source, or a function with @keepmap.figure"
            )
        taken = {registry.kind: registry.taken() for registry, _, _ in things}
        for registry, name, thing in things:
            try:
                registry.check_usable(name, thing)
            except InputError as error:
                raise InputError(f"the plugin {path}: {thing.__name__}{error}") from error
            if name in taken[registry.kind]:
                raise InputError(
                    f'the plugin {path} defines the {registry.kind} "{name}", a name that is taken; choose another'
                )
            taken[registry.kind].add(name)
    except BaseException:
        sys.modules.pop(module_name, None)
        raise
    for registry, name, thing in things:
        registry.join(name, thing)
    _PLUGINS[file] = things
    return _names(file)


def unload_plugins() -> None:
    """Take every plugin back, so that an edited file can be loaded anew."""
    for file, things in _PLUGINS.items():
        for registry, name, _ in things:
            registry.leave(name)
        sys.modules.pop(_module_name(file), None)
    _PLUGINS.clear()


@contextmanager
def plugin_faults() -> Iterator[None]:
    """Inside, an exception that comes out of a plugin's code is an InputError of one line that says where.

    Raises:
        InputError: in place of such an exception; the errors of keepmap stay as they are, and so does what never
            passed through a plugin.
    """
    try:
        yield
    except (KeepmapError, BrokenPipeError):
        raise
    except Exception as error:
        fault = _fault(error)
        if fault is None:
            raise
        raise fault from error


def _fault(error: Exception) -> InputError | None:
    """What is said of an exception of which some frame is a plugin's."""
    by_file = {str(file): file for file in _PLUGINS}
    frames = [
        (frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename in by_file
    ]
    if not frames:
        return None
    deepest, line = frames[-1]
    file = by_file[deepest.f_code.co_filename]
    owners = [owner for frame, _ in reversed(frames) if (owner := _owner(frame)) is not None]
    what = owners[0] if owners else "the plugin"
    return InputError(f"{what} failed: {_described(error)} ({_shown(file)}, line {line})")


def _owner(frame: FrameType) -> str | None:
    """The method, figure or other thing of a plugin whose code a frame runs: "the method value_norm"."""
    arguments = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    first = frame.f_locals.get(arguments[0]) if arguments else None
    for registry, name, thing in (thing for things in _PLUGINS.values() for thing in things):
        is_of_class = isinstance(thing, type) and (first is thing or isinstance(first, thing))
        if is_of_class or getattr(thing, "__code__", None) is frame.f_code:
            return f"the {registry.kind} {name}"
    return None


def _shown(file: Path) -> str:
    here = Path(os.getcwd())
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _names(file: Path) -> tuple[str, ...]:
    return tuple(sorted(name for _, name, _ in _PLUGINS[file]))


def _module_name(file: Path) -> str:
    return f"_keepmap_plugin_{hashlib.sha256(os.fsencode(file)).hexdigest()[:16]}"


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
        raise InputError(f"the plugin {shown} failed: {_described(error)}") from error
    return module


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return text.splitlines()[0] if text else "no message"
