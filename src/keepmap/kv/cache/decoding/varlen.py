"""One query against heads that hold different numbers, on a GPU: to a fused kernel each KV head is a sequence.

`torch.nn.attention.varlen` reads sequences that lie one behind the other in one tensor, as the heads of slabs do: where
each begins is where its slab begins, and how many of its rows are in use is told apart. Nothing is copied, and nothing
is padded to the fullest head.

G KV heads · H query heads · D head dimension.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.cache.rows import Slabs
from keepmap.kv.passes import LayerCall

__all__ = ["attend_slabs", "is_fused", "is_on_a_gpu"]

_WIDEST = 256
"""The largest head dimension that the kernel knows; it is a multiple of 8."""


def is_fused(call: LayerCall) -> bool:
    """Whether the kernel takes this step: half precision on a GPU that has it, no cap and no learned sinks."""
    size, device = call.keys.shape[2], call.keys.device
    is_plain = call.softcap is None and call.sinks is None and call.values.shape[2] == size
    is_fitting = call.keys.dtype in (torch.float16, torch.bfloat16) and size % 8 == 0 and size <= _WIDEST
    return is_plain and is_fitting and is_on_a_gpu(device) and _knows_room(_kernel())


def attend_slabs(call: LayerCall, slabs: Slabs) -> Float[Tensor, "H 1 D"]:
    """The attention of one query to all rows that each head holds; those in its room are not looked at."""
    kernel, device, heads = _kernel(), slabs.keys.device, len(slabs.counts)
    assert kernel is not None
    begins = [*slabs.starts.tolist(), len(slabs.keys)]
    output: Tensor = kernel(
        call.queries.reshape(heads, -1, call.queries.shape[2]),  # a sequence of one query, with the heads of a group
        slabs.keys[:, None],
        slabs.values[:, None],
        torch.arange(heads + 1, dtype=torch.int32, device=device),
        torch.tensor(begins, dtype=torch.int32, device=device),
        1,
        int(slabs.counts.max()),
        scale=call.scaling,
        enable_gqa=True,
        seqused_k=torch.tensor(slabs.counts, dtype=torch.int32, device=device),
    )
    return output.view(-1, 1, output.shape[2])


def is_on_a_gpu(device: torch.device) -> bool:
    """Whether it is one with the kernel, FlashAttention's, which begins with NVIDIA's Ampere."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def _kernel() -> Callable[..., Any] | None:
    """The kernel, None before torch 2.10."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


@cache
def _knows_room(kernel: Callable[..., Any] | None) -> bool:
    """Whether it can be told how many rows are in use; its first versions could not."""
    return kernel is not None and {"seqused_k", "enable_gqa"} <= inspect.signature(kernel).parameters.keys()
