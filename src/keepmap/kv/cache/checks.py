"""Does a model that is given a text in parts, with our cache, give what it gives at once? Asked once per model."""

from typing import TYPE_CHECKING
from weakref import WeakSet

import torch
from torch import nn

from keepmap.core.outside.memory import within_memory
from keepmap.errors import ModelError
from keepmap.kv.choosing import Threshold
from keepmap.kv.eviction.dense import dense
from keepmap.kv.methods.baseline import Baseline

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache

__all__ = ["check_cached"]

_checked: "WeakSet[nn.Module]" = WeakSet()
_PARTS = (9, 1, 1, 7)
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.1}
"""Of the logits' spread, on average, as where a forward pass in our hands is compared with the model's own."""


def check_cached(cache: "EvictingCache") -> None:
    """Compare the model's own logits with those of a few tokens that come in parts, when nothing is dropped.

    Args:
        cache: one of the model, of whatever method; it is left as it is.

    Raises:
        ModelError: they differ, a layer keeps its keys and values elsewhere, or the memory ran out.
    """
    language_model = cache.language_model
    if language_model.model in _checked:
        return
    input_ids = (torch.arange(sum(_PARTS), device=language_model.device) * 7919 + 13) % language_model.vocab_size
    full, what = cache.like(Baseline(), Threshold(float("-inf"))), f"a first look at {language_model.label}"
    with within_memory(what, language_model.device, "free some of it, or take a smaller model"):
        own = language_model.head(dense(language_model, input_ids))
        logits = language_model.head(torch.cat([full.go_on(part) for part in input_ids.split(_PARTS)]))
    difference, spread = float((logits - own).double().abs().mean()), float(own.double().std())
    if not difference <= _TOLERANCE[own.dtype] * spread:
        raise ModelError(
            f"{type(language_model.model).__name__} is not supported: given a text in parts its logits are off by "
            f"{difference / spread:.1%} of their spread"
        )
    _checked.add(language_model.model)
