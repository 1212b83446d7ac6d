"""One line on why a model, a config or a tokenizer cannot be loaded."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from keepmap.errors import ModelError

__all__ = ["LOADING_ERRORS", "explained"]

LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, struct.error)
"""What transformers and the hub raise; the last comes from a GGUF file that is cut."""

Loaded = TypeVar("Loaded")


def explained(load: Callable[[], Loaded], name: str, what: str) -> Loaded:
    """What `load` returns, or one line on why not: transformers, safetensors and the hub raise many kinds of errors.

    Args:
        name: of the model. what: what is loaded of it, such as "weights".

    Raises:
        ModelError: it cannot be loaded; says which, why, and what to do.
    """
    from safetensors import SafetensorError

    try:
        return load()
    except ModelError:  # which is a ValueError, and says it all
        raise
    except (*LOADING_ERRORS, SafetensorError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if "custom code" in lines[0]:
            raise ModelError(
                f'cannot load the {what} of model "{name}": it is Python code of its own, and keepmap runs none; '
                "give a model of an architecture that transformers has"
            ) from error
        advice = _advice(name, what, isinstance(error, SafetensorError))
        raise ModelError(f'cannot load the {what} of model "{name}": {lines[0].rstrip(".")}; {advice}') from error


def _advice(name: str, what: str, damaged: bool) -> str:
    if damaged:
        return "its safetensors file is cut or damaged: save or download it again"
    if Path(name).is_dir():
        return f"save the {what} into that folder again"
    if Path(name).is_file():
        return "download the file again, or take one of a supported architecture"
    return "check the name and the connection, or give the folder of a saved model"
