"""`keepmap check-method FILE`: does a method that somebody wrote behave as one has to?"""

from pathlib import Path

from keepmap.core.arguments import as_path
from keepmap.core.joining.plugins import load_plugin
from keepmap.errors import InputError, counted, escaped
from keepmap.kv.checking import Check, Method, check_behaviour, methods

__all__ = ["check_method"]


def check_method(file: str | Path = "", reference: str | Path | None = None) -> tuple[Check, ...]:
    """Print a line for each check of the method that a Python file defines.

    Args:
        file: a Python file that defines one method, as a plugin does. It is run: name only a file that you trust.
        reference: another one, with a slow form of the method under a name of its own.

    Raises:
        InputError: no file; one that is no plugin, or defines no method or several; a check that fails.
    """
    if not str(file):
        raise InputError("expected `file` to be a Python file that defines a method, got none; name one")
    method = _defined(file, "file")
    slow = None if reference is None else _defined(reference, "reference")
    checks = check_behaviour(method, slow)
    for check in checks:
        print(escaped(check.line))
    if failing := [check.name for check in checks if not check.passed]:
        raise InputError(
            f"the method {method.name} fails {len(failing)} of {counted(len(checks), 'check')}: {', '.join(failing)}; "
            "the lines above say what to do"
        )
    return checks


def _defined(file: str | Path, parameter: str) -> Method:
    """An instance of the method that a file defines, of its default options."""
    names = [name for name in load_plugin(as_path(parameter, file)) if name in methods()]
    if len(names) != 1:
        raise InputError(f"expected `{parameter}` to define one method, got {counted(len(names), 'method')} in {file}")
    return methods()[names[0]]()
