"""One line on why a model, a config or a tokenizer cannot be loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from keepmap.errors import KeepmapError, ModelError

__all__ = ["explained"]

Loaded = TypeVar("Loaded")


def explained(load: Callable[[], Loaded], name: str, what: str) -> Loaded:
    """What `load` returns, or one line on why not: of a damaged file, its loaders raise errors of any kind.

    Args:
        name: of the model. what: what is loaded of it, such as "weights".

    Raises:
        ModelError: it cannot be loaded; says which, why, and what to do.
    """
    from safetensors import SafetensorError

    try:
        return load()
    except KeepmapError:  # which says it all
        raise
    except Exception as error:
        reason = _reason(error)
        if "custom code" in reason:
            raise ModelError(
                f'cannot load the {what} of model "{name}": it is Python code of its own, and keepmap runs none; '
                "give a model of an architecture that transformers has"
            ) from error
        advice = _advice(name, what, isinstance(error, SafetensorError))
        raise ModelError(f'cannot load the {what} of model "{name}": {reason}; {advice}') from error


def _reason(error: Exception) -> str:
    """An error up to its first line that does not end with a colon; with its kind, where that is one of code."""
    words = ""
    for line in str(error).strip().splitlines():
        words = f"{words} {line.strip()}".lstrip()
        if not words.endswith(":"):
            break
    if not words:
        return type(error).__name__
    words = words.rstrip(".:")
    plain = isinstance(error, OSError | ValueError | RuntimeError) or "Error" in words
    return words if plain else f"{type(error).__name__}: {words}"


def _advice(name: str, what: str, damaged: bool) -> str:
    if damaged:
        return "its safetensors file is cut or damaged: save or download it again"
    if Path(name).is_dir():
        return f"save the {what} into that folder again"
    if Path(name).is_file():
        return "download the file again, or take one of a supported architecture"
    return "check the name and the connection, or give the folder of a saved model"
