"""How much memory a model would take: from its config and its files, before anything of it is built."""

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from keepmap.core.files import read_json
from keepmap.core.outside.memory import LAYER, require_memory
from keepmap.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["config_counts", "require_counts", "require_memory_for", "weight_bytes"]

COUNT = re.compile(r"(n|num)_(\w+_)?(layers?|experts)|(\w+\.)?(block|expert)_count")
"""The names under which configs and GGUF files say how many modules there are."""

MOST_LAYERS = 10_000
"""Ten times what the deepest models have; transformers takes seconds for the config of a million."""
LARGEST_CONFIG = 2**24
MORE_THAN_ANY = 2**90
"""Bytes of a tensor whose size is beyond what torch can count."""

_REMEDY = "correct its config, or take a smaller model"


def require_counts(counts: Iterable[tuple[str, Any]], name: str) -> None:
    """Whether so many layers and experts go into memory; a config that is made of such numbers takes some itself.

    Raises:
        ModelError: they do not, or there are more layers than any model has.
    """
    for key, value in counts:
        if isinstance(value, int) and COUNT.fullmatch(key):
            require_memory(value * LAYER, f'model "{name}" with {key} {value:,}', _REMEDY, ModelError)
            if value > MOST_LAYERS and "expert" not in key:
                raise ModelError(
                    f'expected the {key} of model "{name}" to be {MOST_LAYERS:,} at most, got {value:,}; {_REMEDY}'
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


def require_memory_for(
    config: "PretrainedConfig", files: Sequence[Path], name: str, dtype: torch.dtype | None, place: torch.device
) -> None:
    """Whether a model goes into memory, and into that of the GPU where it is to go there.

    Args:
        files: its safetensors. dtype: of the weights to be; None for the config's.

    Raises:
        ModelError: it does not, or its files cannot hold so many layers.
        SafetensorError: a file is damaged.
    """
    from safetensors import safe_open

    needed = weight_bytes(config, dtype)
    require_memory(needed, f'model "{name}"', _REMEDY, ModelError)
    if place.type == "cuda":
        held = torch.cuda.get_device_properties(place).total_memory
        require_memory(needed, f'model "{name}"', "take a smaller model, or the CPU", ModelError, held)
    n_tensors = 0
    for file in files:
        require_memory(file.stat().st_size, f'model "{name}": {file.name}', "take a smaller model", ModelError)
        with safe_open(file, framework="pt") as tensors:
            n_tensors += len(tensors.keys())
    layers = config.get_text_config().num_hidden_layers
    if files and n_tensors < layers:
        raise ModelError(
            f'model "{name}": its config names {layers:,} layers, and its files hold {n_tensors:,} tensors; save or '
            "download it again"
        )


def weight_bytes(config: "PretrainedConfig", dtype: torch.dtype | None = None) -> int:
    """What the weights of a model of this config take, counted on one layer that has sizes and no memory.

    Of a quantised model it is the least that they can take; 0 where transformers cannot build the model, which loading
    it will say.
    """
    from transformers import AutoModelForCausalLM

    small = copy.deepcopy(config)
    text = small.get_text_config()
    layers, text.num_hidden_layers = int(text.num_hidden_layers), 1
    if isinstance(getattr(text, "layer_types", None), list):
        text.layer_types = text.layer_types[:1]
    quantised = getattr(small, "quantization_config", None) is not None
    if quantised:
        del small.quantization_config
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(small, trust_remote_code=False)
    except Exception as error:  # of a broken config transformers raises anything
        return MORE_THAN_ANY if "overflow" in str(error).lower() else 0
    of_layer = re.compile(r"\.0\.")
    weights = sum(part.numel() * (layers if of_layer.search(each) else 1) for each, part in model.named_parameters())
    buffers = sum(part.nbytes * (layers if of_layer.search(each) else 1) for each, part in model.named_buffers())
    size = weights * _size_of(config, dtype)
    return LAYER * layers + buffers + (size // 16 if quantised else size)


def _size_of(config: "PretrainedConfig", dtype: torch.dtype | None) -> int:
    stored = getattr(config, "dtype", None)
    if isinstance(stored, str):
        stored = getattr(torch, stored, None)
    chosen = dtype or stored
    return chosen.itemsize if isinstance(chosen, torch.dtype) else torch.float32.itemsize


def _flat(config: object) -> Iterable[tuple[str, Any]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield str(key), value
            yield from _flat(value)
