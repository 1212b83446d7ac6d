"""Let a model go on from a text under eviction, and say what that held."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepmap.core.arguments import as_flag, as_function
from keepmap.core.outside.memory import within_memory
from keepmap.core.progress import Progress
from keepmap.core.versions import versions
from keepmap.errors import counted
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.evicting import evicting
from keepmap.kv.generation.answering import Sampling, answer, as_sampling
from keepmap.kv.generation.generation import Answered, Generation
from keepmap.kv.generation.prompt import Prompt, as_prompt, require_positions
from keepmap.kv.method import Method
from keepmap.kv.modes import as_mode
from keepmap.language_model import LanguageModel, as_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["generate"]

PACKAGES = ("torch", "transformers", "numpy")
"""What takes part in a text, beside keepmap and Python."""


def generate(
    model: "LanguageModel | PreTrainedModel | str | Path",
    prompt: Any,
    method: str | Method,
    *,
    question: str | None = None,
    threshold: float | None = None,
    density: float | None = None,
    budget: int | None = None,
    budget_by: object = None,
    n_sink: int | None = None,
    window: int | None = None,
    mode: str | None = None,
    chunk_size: int = 1,
    interval: int = 1,
    max_new_tokens: int = 200,
    chat_template: bool = False,
    temperature: float | None = None,
    top_p: float | None = None,
    seed: int = 0,
    compare: bool = False,
    stream: Callable[[str], object] | None = None,
    progress: Progress | None = None,
) -> Generation:
    """Let a model go on from a text under eviction: its answer, what was kept, and bytes beside the full cache's.

    The text is read in blocks, so that the peak falls too, and the model's own `generate` goes on from there. In mode
    "once" the context is read densely and cut once: all that comes before the question, or the whole text where there
    is none, whose first new token the full cache then has, too. What comes later is never evicted.

    >>> import keepmap
    >>> text = "The code of river is 4821. The code of stone is 77. " * 5
    >>> generation = keepmap.generate("tiny", text, "h2o", density=0.2, window=16, max_new_tokens=8, compare=True)
    >>> len(generation.answer.tokens) <= 8, generation.cache.nbytes < generation.cache.full_nbytes
    (True, True)

    Args:
        model, method, threshold, density, budget, budget_by, n_sink, window, mode, chunk_size, interval: as in `evict`.
        prompt: one text, as in `evict`.
        question: what comes right after it. Both are tokenised apart; both are evicted from alike, but in mode "once".
        max_new_tokens: how many tokens there may be; the model may end earlier.
        chat_template: whether both are what a user says in the model's chat template, which the model then answers.
        temperature: draws the tokens at this temperature; by default the likeliest one comes next.
        top_p: draws from the likeliest that together have this share of the probability.
        seed: of the draws, and of a method that draws.
        compare: whether the full cache goes on from the same text, too.
        stream: called with each piece of the answer as it comes.
        progress: called with the share of the text that is read.

    Raises:
        InputError: an option out of range, a method that is refused, no text, or one that is too long.
        ModelError: the model is not supported, has no surrogate for the method, or does not go into the memory.
    """
    sampling, stream = as_sampling(temperature, top_p, seed), as_function("stream", stream)
    compare, chat_template = as_flag("compare", compare), as_flag("chat_template", chat_template)
    when, language_model = as_mode(mode, chunk_size, interval=interval), as_language_model(model)
    text = as_prompt(language_model, prompt, question, chat_template)
    cache = EvictingCache(
        language_model,
        method,
        threshold=threshold,
        density=density,
        budget=budget,
        budget_by=budget_by,
        n_sink=n_sink,
        window=window,
        mode=when.name,
        chunk_size=when.chunk_size,
        interval=when.interval,
        context_length=len(text.ids) - text.n_question if when.name == "once" else None,
        seed=seed,
    )
    wanted = require_positions(text, max_new_tokens, language_model.max_positions, language_model.label)
    answer = _under_eviction(cache, text, wanted, sampling, stream, progress)
    full = _with_all(language_model, text, wanted, sampling) if compare else None
    terms = cache.terms
    return Generation(
        n_prompt=len(text.ids),
        n_question=text.n_question,
        answer=answer,
        full=full,
        cache=cache.report(),
        keep_map=cache.keep_map(),
        options={
            "method": terms.method.name,
            "threshold": threshold,
            "density": density,
            "budget": budget,
            "budget_by": terms.spread,
            "n_sink": terms.protection.n_sink,
            "window": terms.protection.window,
            "mode": when.name,
            "chunk_size": when.chunk_size,
            "interval": when.interval,
            "max_new_tokens": wanted,
            "chat_template": chat_template,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
        },
        versions=versions(*PACKAGES),
    )


def _under_eviction(
    cache: EvictingCache,
    text: Prompt,
    wanted: int,
    sampling: Sampling,
    stream: Callable[[str], object] | None,
    progress: Progress | None,
) -> Answered:
    language_model = cache.language_model
    model, tokenizer = language_model.model, language_model.tokenizer
    begun = time.perf_counter()
    # A context that is cut where the text ends is read by `generate`, in one call.
    is_read_ahead = cache.terms.mode.context_length != len(text.ids)
    if is_read_ahead and len(text.ids) > 1:
        cache.read(text.ids[:-1], progress)
    reading, read = time.perf_counter() - begun, None if is_read_ahead else progress
    with _in_memory(language_model, text, cache.terms.method.label), evicting(language_model):
        last = answer(model, tokenizer, text.ids, wanted, sampling, cache, stream, read)
    return replace(last, reading=reading + (last.reading or 0.0))


def _with_all(language_model: LanguageModel, text: Prompt, wanted: int, sampling: Sampling) -> Answered:
    """The same with the model's own cache, which drops nothing."""
    with _in_memory(language_model, text, "the full cache"):
        return answer(language_model.model, language_model.tokenizer, text.ids, wanted, sampling)


def _in_memory(language_model: LanguageModel, text: Prompt, running: str) -> AbstractContextManager[None]:
    what = f"going on from {counted(len(text.ids), 'token')} with {running}"
    return within_memory(what, language_model.device, "give a shorter text")
