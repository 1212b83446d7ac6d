"""The attention of models made of nn.MultiheadAttention (nn.TransformerEncoder among them), read while they run.

H head · N positions · D head dimension.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock, get_ident
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.backends import mha

from keepmap.attention.layer import AttentionLayer, causal
from keepmap.attention.passes.forward import in_eval_mode
from keepmap.core.arguments import shown
from keepmap.errors import InputError, ModelError

__all__ = ["encoder_layers"]

_SWITCH = RLock()


def encoder_layers(model: nn.Module, inputs: Any) -> list[AttentionLayer]:
    """One forward pass over one sequence; every self-attention in the order in which it is called, without padding.

    Args:
        inputs: what the model is called with: a tensor, a tuple of positional arguments, or a mapping of named ones.
            An nn.MultiheadAttention itself may be given its one sequence alone.

    Raises:
        InputError: more than one sequence at a time, or none.
        ModelError: no attention was called, or one that is not supported; says which.
    """
    names = {module: name or "the model" for name, module in model.named_modules()}
    layers: list[AttentionLayer] = []

    thread = get_ident()

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if get_ident() != thread:
            return  # another thread's pass
        assert isinstance(module, nn.MultiheadAttention)
        layers.append(_layer(len(layers), module, names[module], _named(args, kwargs)))

    with torch.no_grad(), in_eval_mode(model), _without_fast_path():
        handles = [
            module.register_forward_pre_hook(note, with_kwargs=True)
            for module in model.modules()
            if isinstance(module, nn.MultiheadAttention)
        ]
        try:
            _call(model, inputs)
        finally:
            for handle in handles:
                handle.remove()
    if not layers:
        raise ModelError(
            f"nothing was captured: {type(model).__name__} called no nn.MultiheadAttention; a model with an attention "
            "of its own needs a method attention_layers (keepmap.attention.profiling.AttentionSource)"
        )
    return layers


def _call(model: nn.Module, inputs: Any) -> None:
    if isinstance(model, nn.MultiheadAttention) and isinstance(inputs, Tensor):
        model(inputs, inputs, inputs, need_weights=False)
    elif isinstance(inputs, Mapping):
        model(**inputs)
    elif isinstance(inputs, tuple):
        model(*inputs)
    elif isinstance(inputs, Tensor):
        model(inputs)
    else:
        raise InputError(
            f"expected `inputs` of {type(model).__name__} to be a tensor, or a tuple or mapping of what it is called "
            f"with, got {shown(inputs)}"
        )


@contextmanager
def _without_fast_path() -> Iterator[None]:
    """The fused encoder layer never calls its attention module; the switch, of the whole process, comes back."""
    with _SWITCH:
        before = mha.get_fastpath_enabled()
        mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            mha.set_fastpath_enabled(before)


_ARGUMENTS = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average_attn_weights")


def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return dict(zip((*_ARGUMENTS, "is_causal"), args, strict=False)) | kwargs


def _layer(index: int, module: nn.MultiheadAttention, name: str, call: dict[str, Any]) -> AttentionLayer:
    query, key = call["query"], call["key"]
    if query is not key:
        raise ModelError(f"{name} is not supported: it attends to another sequence; only self-attention has a profile")
    if module.bias_k is not None or module.add_zero_attn:
        raise ModelError(f"{name} is not supported: it adds a position of its own (add_bias_kv or add_zero_attn)")
    if query.is_nested:
        raise ModelError(f"{name} is not supported: it was given a nested tensor; give one sequence and its mask")
    if query.ndim == 3:
        batch = query.shape[0 if module.batch_first else 1]
        if batch != 1:
            raise InputError(f"expected one sequence, as a batch of 1, got {batch} at once")
        query = query[0] if module.batch_first else query[:, 0]
    n = query.shape[0]
    queries, keys = _projected(module, query)
    padding = _padding(call.get("key_padding_mask"), n, name)
    mask = call.get("attn_mask")
    hinted = bool(call.get("is_causal", False)) and call.get("key_padding_mask") is None
    if hinted and not call.get("need_weights", True):
        # PyTorch then takes the hint and leaves the mask unread; so do we.
        mask = None
    is_causal = hinted and mask is None
    bias = None if mask is None else _bias(mask, padding, query.dtype)
    if bias is not None and _is_causal(bias):
        bias, is_causal = None, True
    real = int(padding.sum())
    starts, ends = causal(real, query.device)
    if not is_causal:
        ends = torch.full_like(ends, real)
    dim = queries.shape[-1]
    return AttentionLayer(
        layer=index,
        queries=queries[:, padding],
        keys=keys[:, padding],
        scaling=dim**-0.5,
        sees_from=starts,
        sees_until=ends,
        bias=bias,
    )


def _projected(
    module: nn.MultiheadAttention, x: Float[Tensor, "N E"]
) -> tuple[Float[Tensor, "H N D"], Float[Tensor, "H N D"]]:
    # One stacked weight, or one each where keys and values come in other sizes.
    stacked: Tensor | None = module._parameters["in_proj_weight"]
    weights = (module.q_proj_weight, module.k_proj_weight) if stacked is None else stacked.chunk(3)[:2]
    biases = (None, None) if module.in_proj_bias is None else module.in_proj_bias.chunk(3)[:2]
    queries, keys = (nn.functional.linear(x, *pair) for pair in zip(weights, biases, strict=True))
    shape = (x.shape[0], module.num_heads, module.head_dim)
    return queries.view(shape).transpose(0, 1), keys.view(shape).transpose(0, 1)


def _padding(mask: Tensor | None, n: int, name: str) -> Bool[Tensor, " N"]:
    """Which positions are not padding."""
    if mask is None:
        return torch.ones(n, dtype=torch.bool)
    flat = mask.reshape(-1)
    if flat.dtype == torch.bool:
        real = ~flat
    elif bool(((flat == 0) | (flat == float("-inf"))).all()):
        real = flat == 0
    else:
        raise ModelError(f"{name} is not supported: its key_padding_mask adds numbers other than 0 and -inf")
    if not bool(real.any()):
        raise InputError("the key_padding_mask hides every position; leave one or more")
    return real


def _bias(mask: Tensor, real: Bool[Tensor, " N"], dtype: torch.dtype) -> Float[Tensor, "heads n n"]:
    """A mask as numbers to add, for the real positions; one for all heads, or one each."""
    mask = mask.detach()
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask, float("-inf"))
    mask = mask if mask.ndim == 3 else mask[None]
    return mask[:, real][:, :, real]


def _is_causal(bias: Float[Tensor, "heads n n"]) -> bool:
    """Nothing but the causal mask, which needs no N x N numbers."""
    n = bias.shape[-1]
    if bias.shape[0] != 1:
        return False
    later = torch.ones(n, n, dtype=torch.bool, device=bias.device).triu(1)
    return bool((bias[0] == 0).logical_xor(later).all()) and bool((bias[0][later] == float("-inf")).all())
