"""The evicting attention without eviction is the model's own: asked once per model, before a result."""

import torch
from torch import Tensor

from keepmap.attention.forward import LayerCall
from keepmap.attention.forward_check import check_forward
from keepmap.kv.eviction.attention import evicting_attention
from keepmap.language_model import LanguageModel

__all__ = ["check_supported", "full_attention"]


def full_attention(call: LayerCall) -> Tensor:
    """One layer's attention without eviction."""
    heads, n = call.keys.shape[:2]
    return evicting_attention(
        call.queries,
        call.keys,
        call.values,
        torch.full((heads, n), n, device=call.keys.device),
        call.sees_from,
        scaling=call.scaling,
        softcap=call.softcap,
        sinks=call.sinks,
    )


def check_supported(language_model: LanguageModel) -> None:
    """Compare the model's own logits with ours on a few tokens.

    Raises:
        ModelError: they differ, a layer is missing or has other heads, or the model's output is NaN.
    """
    check_forward(language_model, full_attention)
