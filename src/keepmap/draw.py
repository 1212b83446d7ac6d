"""The figures: `keepmap.draw.compression_heatmap(keep_map)` and its like, and `save_figure` for all of them.

Each of them takes `title=` (None for its own, "" for none), `legend=` (whether there is one), `caption=` (whether what
was measured stands under the title; a string stands there instead) and `ax=` (the Axes to draw into; by default a new
Figure's). A file of the folder `keepmap/drawing` is a figure, named as its function; it is loaded when it is first
used, and matplotlib with it. So is a function of a `--plugin` file that `keepmap.figure` marks.
"""

import importlib.util
import pkgutil
from typing import TYPE_CHECKING, Any

from keepmap.core.joining.plugins import joined

if TYPE_CHECKING:
    from keepmap.drawing import *  # noqa: F403 - for editors and type checkers; the names are found below

_HOME = "keepmap.drawing"
_SAVING = {"save_figure": f"{_HOME}.parts.files"}


def _figures() -> dict[str, str]:
    """Each function, and the module that has it; nothing is loaded for this."""
    spec = importlib.util.find_spec(_HOME)
    assert spec is not None
    modules = pkgutil.iter_modules(spec.submodule_search_locations)
    return {module.name: f"{_HOME}.{module.name}" for module in modules if not module.ispkg} | _SAVING


def __getattr__(name: str) -> Any:
    if name == "__all__":  # `from keepmap.draw import *`
        return __dir__()
    if name in (of_plugins := joined("figure")):
        # Not kept: a plugin can be taken back.
        return of_plugins[name]
    home = None if name.startswith("_") else _figures().get(name)
    if home is None:
        raise AttributeError(f"module 'keepmap.draw' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*_figures(), *joined("figure")})
