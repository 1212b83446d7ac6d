"""What a cache holds as a plain cache of transformers, where that would go on as it does."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedConfig

from keepmap.errors import InputError
from keepmap.kv.cache.held import Held

__all__ = ["plain_cache"]


def plain_cache(layers: Sequence[Held], config: PreTrainedConfig) -> DynamicCache:
    """The entries of all layers, in the order of their positions.

    Raises:
        InputError: what a plain cache would go on with otherwise: it masks all layers by the number of entries in one,
            and counts a window of the model's own in entries, whatever their positions.
    """
    if len({count for held in layers for count in held.columns.counts.tolist()}) > 1:
        raise InputError(
            "expected a cache whose heads and layers all hold the same number of entries, got one where they differ; "
            "take the budget rule (`density` or `budget`), by head, and a model all of whose layers see the same"
        )
    for held, own in zip(layers, DynamicCache(config=config).layers, strict=True):
        window, positions = getattr(own, "sliding_window", None), held.columns.positions[:, : held.columns.width]
        if window is not None and held.seen >= window and int(positions.min()) < held.seen - positions.shape[1]:
            raise InputError(
                f"expected a cache without gaps in layers with a window of their own, {window} positions, which a "
                "plain cache counts in entries, got gaps; go on with this cache, inside `with keepmap.evicting(model):`"
            )
    plain = DynamicCache()
    for index, held in enumerate(layers):
        keys, values = held.slabs.padded()
        order = torch.from_numpy(np.argsort(held.columns.positions[:, : held.columns.width], axis=1))
        at = order.to(keys.device)[..., None]
        plain.update(keys.take_along_dim(at, 1)[None], values.take_along_dim(at, 1)[None], index)
    return plain
