"""A model whose files hold each of its weights: transformers fills in what is missing with random numbers."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keepmap.errors import ModelError, counted

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["whole"]

LAYER = re.compile(r"\.(\d+)\.")
"""A layer's number in the name of a weight."""


def whole(loaded: "tuple[PreTrainedModel, Mapping[str, Any]]", name: str) -> "PreTrainedModel":
    """The model of what `from_pretrained(..., output_loading_info=True)` gives.

    Raises:
        ModelError: its files lack weights that its config asks for, or hold layers that the config does not have.
    """
    model, facts = loaded
    if missing := sorted(facts["missing_keys"]):
        raise ModelError(
            f'model "{name}": its files lack {_named(missing)}, which its config asks for; save or download it again'
        )
    layers = model.config.get_text_config().num_hidden_layers
    numbers = {key: LAYER.search(key) for key in facts["unexpected_keys"]}
    if more := sorted(key for key, number in numbers.items() if number and int(number[1]) >= layers):
        raise ModelError(
            f'model "{name}": its files hold {_named(more)}, and its config has {counted(layers, "layer")}; correct '
            "its config.json, or save the model again"
        )
    return model


def _named(weights: list[str]) -> str:
    """One weight, and how many more."""
    return weights[0] if len(weights) == 1 else f"{weights[0]} and {counted(len(weights) - 1, 'more weight')}"
