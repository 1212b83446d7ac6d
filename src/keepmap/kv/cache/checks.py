"""Can a method decide in a cache? And does a model that is given a text in parts give what it gives at once?

The latter is asked once per model.
"""

from typing import TYPE_CHECKING
from weakref import WeakSet

import torch
from torch import nn

from keepmap.core.outside.memory import within_memory
from keepmap.errors import InputError, ModelError
from keepmap.kv.choosing import Threshold
from keepmap.kv.eviction.dense import dense
from keepmap.kv.method import Method
from keepmap.kv.methods.baseline import Baseline
from keepmap.kv.modes import Mode

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache

__all__ = ["check_cached", "require_cacheable"]

_checked: "WeakSet[nn.Module]" = WeakSet()
_PARTS = (9, 1, 1, 7)
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.1}
"""Of the logits' spread, on average, as where a forward pass in our hands is compared with the model's own."""


def require_cacheable(method: Method, when: Mode) -> None:
    """Whether a method can decide while a text comes.

    Raises:
        InputError: it looks at what a cache does not hold, or does not know yet.
    """
    if method.needs == "future":
        raise InputError(
            f"expected `method` to be one that a cache can have, got {method.name}, an oracle, which looks at what "
            "comes later; `keepmap.evict` and `keepmap.compare` take it, as they have the whole text"
        )
    if method.needs == "prefix" and when.name != "once":
        raise InputError(
            f"expected `method` to be one that decides while the text is read, got {method.name}, whose scores "
            'need all of it; give mode="once", which reads a text whole and then cuts it, or another one'
        )


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
