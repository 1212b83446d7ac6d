"""Caches that have seen the same number of tokens go on side by side: the weights are read once for all of them.

B caches, each of a method and a rule of its own · N new tokens.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from jaxtyping import Float, Int
from torch import Tensor
from transformers import Cache

from keepmap.errors import InputError
from keepmap.kv.cache.batches.batch import Batch
from keepmap.kv.passes import LayerCall, Text, run_texts

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache

__all__ = ["Look", "go_on_together"]

Look = Callable[[int, LayerCall], object]


def go_on_together(
    caches: "Sequence[EvictingCache]", tokens: Int[Tensor, "B N"], look: Look | None = None
) -> Float[Tensor, "B N hidden"]:
    """The last hidden states of tokens that come next, each row of them on a cache of its own; of one model.

    Args:
        look: called with the row and the layer's call after each layer of each cache, when what expires has gone.

    Raises:
        InputError: the caches have not seen the same number of tokens, or a pass on one of them was broken off.
    """
    for cache in caches:
        cache.require_whole()
    seen = {cache.get_seq_length() for cache in caches}
    if len(seen) != 1:
        raise InputError(f"expected `caches` that have seen the same number of tokens, got {sorted(seen)}")
    caches[0].require_room(tokens.shape[1])
    language_model = caches[0].language_model
    rows = Batch(caches, [0] * len(caches), seen.pop())
    # Each row counts its own bytes: those of all of them together are nobody's.
    texts = [Text(partial(_attend, cache, row, look)) for row, cache in enumerate(caches)]
    return run_texts(language_model.model, language_model.body, tokens, texts, Cache(layers=list(rows.layers)))


def _attend(cache: "EvictingCache", row: int, look: Look | None, call: LayerCall) -> Tensor:
    output = cache.attend(call)
    if look is not None:
        look(row, call)
    return output
