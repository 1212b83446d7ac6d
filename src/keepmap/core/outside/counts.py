"""How many layers and experts a config names, and how wide; what takes a second to import is not needed to see that."""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keepmap.core.files import read_json
from keepmap.core.outside.memory import LAYER, require_memory
from keepmap.errors import ModelError

__all__ = ["REMEDY", "config_counts", "require_counts"]

REMEDY = "correct its config, or take a smaller model"

COUNT = re.compile(r"(tf_)?(n|num)_(\w+_)?(layers?|experts)|(\w+\.)?(block|expert)_count")
"""The names under which configs and GGUF files say how many modules there are."""

WIDTH = re.compile("hidden_size|(tf_)?n_embd|d_model")
"""The names of widths. A layer has a matrix of as many rows; in a model, where it has as many columns, too."""

LENGTH = re.compile("input_dim|output_dim|hidden_dim|intermediate_size|(tf_)?n_inner|head_dim|vocab_size")
"""The names of sizes of which some matrix has as many rows or columns, and is not square."""

MOST_LAYERS = 10_000
"""Ten times what the deepest models have; transformers takes seconds for the config of a million."""
LARGEST_CONFIG = 2**24


def require_counts(counts: Iterable[tuple[str, Any]], name: str) -> None:
    """Whether so many layers and experts, and so wide ones, go into memory; a config of such numbers takes some itself.

    Raises:
        ModelError: they do not, there are more layers than any model has, or a number is infinite or none.
    """
    for key, value in counts:
        if isinstance(value, float) and not math.isfinite(value):
            raise ModelError(f'expected the {key} of model "{name}" to be a finite number, got {value}; {REMEDY}')
        if isinstance(value, int) and (WIDTH.fullmatch(key) or LENGTH.fullmatch(key)):
            needed = 4 * abs(value) * (1 if LENGTH.fullmatch(key) else abs(value))
            require_memory(needed, f'model "{name}" with {key} {value:,}', REMEDY, ModelError)
        if isinstance(value, int) and COUNT.fullmatch(key):
            if value < 0:
                raise ModelError(f'expected the {key} of model "{name}" to be 0 or more, got {value:,}; {REMEDY}')
            require_memory(value * LAYER, f'model "{name}" with {key} {value:,}', REMEDY, ModelError)
            if value > MOST_LAYERS and "expert" not in key:
                raise ModelError(
                    f'expected the {key} of model "{name}" to be {MOST_LAYERS:,} at most, got {value:,}; {REMEDY}'
                )


def config_counts(file: Path, name: str) -> list[tuple[str, Any]]:
    """Every key of a config.json and its value, also those inside; none of a file that is no JSON.

    Raises:
        ModelError: it is too large for any config.
    """
    if file.stat().st_size > LARGEST_CONFIG:
        raise ModelError(f'model "{name}": its {file.name} is larger than 16 MiB; save the model again')
    try:
        return [*_flat(read_json(file))]
    except (OSError, ValueError):  # what loads it says what is wrong
        return []


def _flat(config: object) -> Iterable[tuple[str, Any]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield str(key), value
            yield from _flat(value)
