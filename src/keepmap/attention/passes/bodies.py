"""The attention of transformers' bodies (GPT2Model and its like) inside models of any kind, read while they run.

Decision transformers and agents of Algorithm Distillation embed their own inputs, and give them to such a body.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from keepmap.attention.layer import AttentionLayer
from keepmap.attention.passes.calls import left_alone
from keepmap.attention.passes.forward import (
    Attend,
    LayerCall,
    Run,
    Text,
    active,
    implementation,
    in_eval_mode,
    inputs_noted,
)
from keepmap.core.arguments import shown
from keepmap.errors import InputError, ModelError

__all__ = ["body_layers", "has_body"]

LayerOf = Callable[[LayerCall], AttentionLayer]


def has_body(model: nn.Module) -> bool:
    """Whether a model is one of transformers, or holds one."""
    from transformers import PreTrainedModel

    return any(isinstance(module, PreTrainedModel) for module in model.modules())


def body_layers(model: nn.Module, inputs: Any, layer_of: LayerOf, attend: Attend) -> list[AttentionLayer]:
    """One forward pass over one sequence; every attention of a body of transformers, in the order of the calls.

    The model runs twice, as it is and with its attention in our hands, and has to give the same.

    Args:
        inputs: what the model is called with: a mapping of named arguments, a tuple of positional ones, or a tensor. A
            tensor of floats [1, N, hidden] is a body's `inputs_embeds`.
        layer_of: what a layer attends with, of one call. attend: what a call gives.

    Raises:
        InputError: inputs that are none of these.
        ModelError: more than one sequence at a time, or padding; no attention that goes through transformers'
            AttentionInterface; or another output than the model gives by itself.
    """
    layers: list[AttentionLayer] = []

    def note(call: LayerCall) -> Tensor:
        layers.append(layer_of(call))
        return attend(call)

    with torch.no_grad(), in_eval_mode(model):
        with left_alone():
            own = [*_tensors(_called(model, inputs))]
        with implementation(model), inputs_noted(model):
            token = active.set(Run([Text(note)], {}))
            try:
                ours = [*_tensors(_called(model, inputs))]
            finally:
                active.reset(token)
    name = type(model).__name__
    if not layers:
        raise ModelError(
            f"nothing was captured: {name} called no attention that goes through transformers' AttentionInterface"
        )
    for as_it_is, in_hands in zip(own, ours, strict=True):
        most = float((as_it_is - in_hands).abs().max()) if as_it_is.numel() else 0.0
        allowed = 8 * torch.finfo(as_it_is.dtype).eps ** 0.5 * max(1.0, float(as_it_is.abs().max()))
        if not most <= allowed:
            raise ModelError(
                f"{name} is not supported: with its attention in keepmap's hands its output is off by {most:.2g}, "
                "or it is not the same twice"
            )
    return layers


def _called(model: nn.Module, inputs: Any) -> Any:
    from transformers import PreTrainedModel

    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple):
        return model(*inputs)
    if isinstance(inputs, Tensor):
        is_embedded = isinstance(model, PreTrainedModel) and inputs.is_floating_point()
        return model(inputs_embeds=inputs) if is_embedded else model(inputs)
    raise InputError(
        f"expected `inputs` of {type(model).__name__} to be a tensor, or a tuple or mapping of what it is called with, "
        f"got {shown(inputs)}"
    )


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors of floats in what a model gave."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, tuple | list):
        for value in output:
            yield from _tensors(value)
