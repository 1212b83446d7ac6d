"""Read a long text into a cache that evicts while it reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepmap.core.progress import Progress
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.method import Method
from keepmap.language_model import LanguageModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["compress"]


def compress(
    model: "LanguageModel | PreTrainedModel | str | Path",
    context: Any,
    method: str | Method,
    *,
    threshold: float | None = None,
    density: float | None = None,
    budget: int | None = None,
    budget_by: object = None,
    n_sink: int | None = None,
    window: int | None = None,
    mode: str | None = None,
    chunk_size: int = 1,
    interval: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> EvictingCache:
    """Read a text under eviction, in blocks, so that the peak of memory falls too; then ask, on forks of the cache.

    With `mode="once"` it is read densely, one layer after the other, and each layer is cut when it has read all of it;
    what comes later is never evicted, and `keepmap.evict(..., mode="once", context_length=...)` says the same.

    >>> import keepmap, torch
    >>> language_model = keepmap.load_language_model("tiny")
    >>> context = language_model.tokenizer("The code of river is 4821. " * 9, return_tensors="pt").input_ids
    >>> cache = keepmap.compress(language_model, context, "h2o", density=0.2, window=16)
    >>> question = language_model.tokenizer(" The code of", return_tensors="pt").input_ids
    >>> both = torch.cat([context, question], dim=1)  # `generate` leaves out what the cache has seen
    >>> with keepmap.evicting(language_model):
    ...     answer = language_model.model.generate(both, past_key_values=cache.fork(), max_new_tokens=5)
    >>> answer.shape[1] - both.shape[1], cache.bytes() < cache.report().full_nbytes
    (5, True)

    Args:
        model, method, threshold, density, budget, budget_by: as in `evict`.
        n_sink, window, mode, chunk_size, interval, seed: as in `evict`.
        context: one text, as in `evict`.
        progress: called after each block with the share of the text that is read.

    Raises:
        InputError: an option out of range, a method that is refused, no text or one that is too long.
        ModelError: the model is not supported, or has no surrogate for the method.
    """
    cache = EvictingCache(
        model,
        method,
        threshold=threshold,
        density=density,
        budget=budget,
        budget_by=budget_by,
        n_sink=n_sink,
        window=window,
        mode=mode,
        chunk_size=chunk_size,
        interval=interval,
        seed=seed,
    )
    cache.read(context, progress)
    return cache
