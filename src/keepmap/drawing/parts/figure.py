"""What makes a function a figure that commands draw: `keepmap.figure`."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from keepmap.core.joining.registry import Registry
from keepmap.drawing.parts.files import save_figure, whole_figure
from keepmap.errors import InputError, kind_of

__all__ = ["figure", "joined_figures", "save_joined_figures"]

Function = TypeVar("Function", bound=Callable[..., Any])

_MARK = "__keepmap_figure_of__"

VERBS = {
    "KeepMap": "compare",
    "Comparison": "compare",
    "AttentionProfile": "attention",
    "Evaluation": "evaluate",
    "Study": "study",
}
"""What commands draw, and which one does."""


def figure(of: type) -> Callable[[Function], Function]:
    """Mark a function as a figure of a kind of value, which the command that has such values draws beside its own.

    `keepmap compare` draws figures of a KeepMap (each method's, of the first text) and of a Comparison, `keepmap
    attention` of an AttentionProfile (each sample's), `keepmap evaluate` of an Evaluation, `keepmap study` of a Study.
    The function is called with the value alone, and returns Axes or a Figure; its name is the file's. It is what it was
    before, and `keepmap.draw` offers it once its file is loaded with `--plugin`.

    Args:
        of: the class of what it draws.

    Raises:
        InputError: a class that no command draws.

    >>> import keepmap
    >>> from matplotlib.figure import Figure
    >>> @keepmap.figure(keepmap.KeepMap)
    ... def held(keep_map):
    ...     ax = Figure().add_subplot()
    ...     ax.plot(keep_map.held.flatten())
    ...     return ax
    """
    if not isinstance(of, type) or VERBS.get(of.__name__) is None or not of.__module__.startswith("keepmap."):
        raise InputError(f"expected `of` to be one of the classes {', '.join(VERBS)}, got {kind_of(of)}")

    def mark(function: Function) -> Function:
        setattr(function, _MARK, of)
        return function

    return mark


class _Figures(Registry[Any]):
    """Name -> function, of those that `figure` marks."""

    def defined_in(self, module: ModuleType) -> list[tuple[str, Any]]:
        """The functions that the module itself marks."""
        return [
            (name, function)
            for name, function in inspect.getmembers(module, inspect.isfunction)
            if hasattr(function, _MARK) and function.__module__ == module.__name__
        ]

    def taken(self) -> set[str]:
        """The package's own figures too, marked or not."""
        return {*self.members(), *importlib.import_module("keepmap.drawing").__all__}


def _check(function: Callable[..., Any]) -> None:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise InputError("expected a function of one value, whose other parameters have defaults") from None


_FIGURES = _Figures("figure", object, "keepmap.drawing", check=_check)


def joined_figures(value: object) -> dict[str, Callable[..., Any]]:
    """The marked figures of such a value, by name."""
    figures = _FIGURES.members()
    return {name: function for name, function in figures.items() if isinstance(value, getattr(function, _MARK))}


def save_joined_figures(value: object, folder: Path, stem: str, formats: Sequence[str]) -> list[Path]:
    """Draw every marked figure of such a value, and write it.

    Args:
        stem: the files' name, with "{name}" where the figure's stands.
        formats: where there are none, nothing is drawn.

    Raises:
        InputError: a figure returned something that is none.
        OutputError: a file cannot be written.
    """
    paths = []
    for name, function in joined_figures(value).items() if formats else ():
        drawn = function(value)
        try:
            whole = whole_figure(drawn)
        except InputError:
            raise InputError(f"the figure {name} returned {kind_of(drawn)}; expected Axes or a Figure") from None
        paths += save_figure(whole, folder, stem.replace("{name}", name), formats)
    return paths
