"""A layer's input for methods that score before the attention runs."""

from dataclasses import replace
from typing import Any

import torch

from keepmap.kv.method import LayerInput


def layer_input(n: int = 20, heads: int = 2, group: int = 2, **changed: Any) -> LayerInput:
    """Drawn queries, keys and values of 8 dimensions in float64, decided three queries later; no rotation."""
    generator = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(heads, n, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    layer = LayerInput(
        layer=1,
        hidden_states=torch.randn(n, 16, generator=generator, dtype=torch.float64),
        queries=torch.randn(heads * group, n, 8, generator=generator, dtype=torch.float64),
        keys=keys,
        values=values,
        rotation=None,
        decided_at=(torch.arange(n) + 3).clamp(max=n),
        scaling=0.5,
        n_sink=0,
        seed=5,
    )
    return replace(layer, **changed)
