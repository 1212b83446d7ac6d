"""The usual way to evict exactly: decode one token at a time through the model's own cache, with an explicit mask.

The decisions are given, so that this is the least that the usual way can cost: a forward pass per token, and an
additive mask per layer and head made from the expiries.
"""

from typing import Any

import torch

__all__ = ["decode_with_masks"]


@torch.no_grad()
def decode_with_masks(model: Any, input_ids: torch.Tensor, expires: torch.Tensor) -> torch.Tensor:
    """Logits [N, vocab] where query i sees position j of KV head g in layer l iff j <= i < expires[l, g, j]."""
    from transformers import DynamicCache

    layers = model.base_model.layers
    group = model.config.num_attention_heads // expires.shape[1]
    expires = expires.to(input_ids.device).repeat_interleave(group, dim=1)
    step = 0

    def mask_of(layer: int) -> Any:
        def put(module: torch.nn.Module, arguments: Any, keywords: dict[str, Any]) -> Any:
            gone = expires[layer, :, : step + 1] <= step
            mask = torch.zeros(gone.shape, dtype=model.dtype, device=gone.device).masked_fill_(gone, float("-inf"))
            return arguments, {**keywords, "attention_mask": mask[None, :, None, :]}

        return put

    hooks = [
        layer.self_attn.register_forward_pre_hook(mask_of(index), with_kwargs=True)
        for index, layer in enumerate(layers)
    ]
    try:
        cache = DynamicCache(config=model.config)
        logits = []
        for step in range(input_ids.numel()):
            out = model(input_ids[None, step : step + 1], past_key_values=cache, use_cache=True)
            logits.append(out.logits[0, -1])
        return torch.stack(logits)
    finally:
        for hook in hooks:
            hook.remove()
