"""How much memory a model would take: from its config and its files, before anything of it is built."""

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from keepmap.core.outside.counts import REMEDY
from keepmap.core.outside.memory import LAYER, require_memory
from keepmap.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["require_memory_for", "weight_bytes"]

MORE_THAN_ANY = 2**90
"""Bytes of a tensor whose size is beyond what torch can count."""


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
    require_memory(needed, f'model "{name}"', REMEDY, ModelError)
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
