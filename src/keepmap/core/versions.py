"""Which versions a number was made with; the version of keepmap itself."""

import platform
from importlib import import_module

__all__ = ["__version__", "versions"]

__version__ = "0.1.0"


def versions(*packages: str) -> dict[str, str]:
    """The versions of keepmap, of Python, and of the packages (imported names) that take part in a number.

    >>> list(versions("numpy"))
    ['keepmap', 'python', 'numpy']
    """
    return {
        "keepmap": __version__,
        "python": platform.python_version(),
        **{name: str(import_module(name).__version__) for name in packages},
    }
