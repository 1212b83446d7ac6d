"""A context that is read densely once for several caches of mode "once", each of which is then cut by its own method.

G KV head · C tokens of the context · W columns of what is held.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.core.outside.memory import within_memory
from keepmap.errors import InputError, counted
from keepmap.kv.choosing import choose
from keepmap.kv.eviction.checks import full_attention
from keepmap.kv.eviction.deciding import decide
from keepmap.kv.passes import LayerCall, run

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache

__all__ = ["can_read_once", "read_once"]


def can_read_once(cache: "EvictingCache") -> bool:
    """Whether a cache has seen nothing, and is to be cut once, each layer by itself."""
    return cache.terms.mode.name == "once" and not cache.get_seq_length() and not cache.layer(0).is_cut_by_all


def read_once(caches: "Sequence[EvictingCache]", tokens: Int[Tensor, " C"]) -> None:
    """Let new caches of one model read a context: each then holds what it holds after `read`.

    What one method says of a layer is asked once, whatever the densities; where it looks at them, once for each.

    Raises:
        InputError: a cache of another mode, or one that has seen tokens.
        ModelError: the memory ran out.
        ImpossibleResultError: a NaN score.
    """
    language_model, n = caches[0].language_model, len(tokens)
    if not all(map(can_read_once, caches)):
        raise InputError('expected `caches` of mode "once" that have seen nothing, got others; let each `read`')
    caches[0].require_room(n)

    def attend(call: LayerCall) -> Tensor:
        scored: dict[tuple[object, ...], Tensor] = {}
        for cache in caches:
            terms = cache.layer(call.layer).given
            # A score may look at the budget.
            budget = terms.rule if getattr(terms.method, "needs_capacity", False) else None
            key = (id(terms.method), terms.protection, terms.seed, budget)
            if key not in scored:
                what = (terms.method, terms.rule, terms.protection, n, terms.seed)
                scored[key] = decide(call, language_model.model, *what).scores
            choice = choose(scored[key], terms.rule, terms.protection, n)
            with torch.inference_mode(False), torch.no_grad():
                cache.layer(call.layer).take(call, scored[key].double().cpu().numpy(), choice.held.cpu().numpy())
            cache.note(call)
        return full_attention(call)

    what = f"reading {counted(n, 'token')} for {counted(len(caches), 'cache')}"
    with within_memory(what, language_model.device, "give a shorter text"):
        run(language_model.model, language_model.body, tokens, attend)
