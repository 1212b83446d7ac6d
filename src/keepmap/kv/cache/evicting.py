"""A block in which a model generates under eviction: its own code runs as ever, and is handed our cache."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from torch import Tensor
from transformers import Cache, DynamicCache

from keepmap.core.arguments import as_integer
from keepmap.core.keep_map import KeepMap
from keepmap.errors import InputError, counted, kind_of
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.interface import no_way_back
from keepmap.kv.cache.report import CacheReport
from keepmap.kv.method import Method
from keepmap.kv.modes import Mode, as_mode
from keepmap.kv.passes import Text, calls_in_hands
from keepmap.language_model import LanguageModel, as_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["EvictingRun", "evicting"]

_instead: "WeakKeyDictionary[Cache, EvictingCache]" = WeakKeyDictionary()
"""Of a plain cache that a call was given, ours that stands in for it, in whatever block that was."""
_CANDIDATES = "_get_candidate_generator"
"""What `generate` asks the model for before an assisted or a prompt-lookup decoding runs anything."""


class EvictingRun:
    """What runs under eviction inside a `with keepmap.evicting(...)`.

    Attributes:
        language_model: the model. cache: that of the last call, None before the first.
    """

    def __init__(self, language_model: LanguageModel, fresh: Callable[[], EvictingCache] | None) -> None:
        self.language_model = language_model
        self.cache: EvictingCache | None = None
        self._fresh = fresh
        self._plain: dict[int, EvictingCache] = {}
        self._is_warned = False

    @property
    def model(self) -> "PreTrainedModel":
        """The Hugging Face model."""
        return self.language_model.model

    @property
    def keep_map(self) -> KeepMap:
        """What the cache of the last call kept.

        Raises:
            InputError: there was no call, or it was of a batch: `keep_maps` has one per text.
        """
        cache = self._last()
        if len(cache.rows) > 1:
            raise InputError(f"expected one text, got a batch of {len(cache.rows)}; `keep_maps` has one per text")
        return cache.keep_map()

    @property
    def keep_maps(self) -> tuple[KeepMap, ...]:
        """What the cache of the last call kept of each text, in the batch's order; padding is no part of it.

        Raises:
            InputError: there was no call.
        """
        return tuple(row.keep_map() for row in self._last().rows)

    def report(self) -> CacheReport:
        """The bytes of the cache of the last call, over time; of a batch, of all rows together, beams among them.

        Raises:
            InputError: there was no call.
        """
        return self._last().report()

    def _last(self) -> EvictingCache:
        if self.cache is None:
            under = "a call of the model" if self._fresh else "a call under eviction, by `method` or an EvictingCache,"
            raise InputError(f"expected {under} inside the block first, got none")
        return self.cache

    def prepare(self, named: dict[str, Any]) -> Sequence[Text] | None:
        """Hand our cache to a call of the model, by the names of its arguments.

        Raises:
            InputError: what the cache does not hold exactly: masks with holes, other positions.
        """
        given = named.get("past_key_values")
        cache = self._cache_for(given)
        if cache is None:
            return None
        if given is None and named.get("use_cache") is False and cache.terms.mode == Mode("once"):
            raise InputError(
                'expected `context_length` where a call has use_cache=False, got none: in mode "once" the cut comes '
                'after its last token, and nothing goes on from there; give it to `evicting`, or take mode "decode"'
            )
        if cache.language_model.model is not self.model:
            raise InputError("expected `past_key_values` to be a cache of this model, got one of another model")
        new = named.get("input_ids") if named.get("inputs_embeds") is None else named["inputs_embeds"]
        if not isinstance(new, Tensor):
            raise InputError(f"expected `input_ids` to be a tensor of token ids, got {kind_of(new)}")
        if not new.shape[1]:
            seen = counted(cache.get_seq_length(), "token")
            raise InputError(
                f"expected `input_ids` to bring one token or more, got none; the cache has seen {seen}, and only "
                "a longer text goes on from them"
            )
        if self.model.training:
            raise InputError("expected a model in eval mode, got one that is training; call model.eval() first")
        if named.get("output_attentions", getattr(self.model.config, "output_attentions", False)):
            raise InputError("`output_attentions` are not at hand under eviction; look by keepmap.profile_attention")
        texts = cache.texts(named, new)
        named["past_key_values"], named["attention_mask"] = cache, None
        self.cache = cache
        if isinstance(given, DynamicCache):
            # It has seen what ours has, and no pass without eviction goes on with it as if it were empty.
            given.layers = cache.layers
        if cache is not self._plain.get(get_ident()):
            self._warn_of(self._plain.pop(get_ident(), None))
        if given is None:
            self._plain[get_ident()] = cache
        return texts

    def close(self) -> None:
        """Nothing more comes: say what is known only then."""
        while self._plain:
            self._warn_of(self._plain.popitem()[1])

    def _warn_of(self, cache: EvictingCache | None) -> None:
        """Say once in a block that a plain call was cut at its end, and no other one went on from there."""
        if cache is None or self._is_warned or cache.terms.mode.name != "once" or (note := cache.report().note) is None:
            return
        self._is_warned = True
        warnings.warn(
            f'in mode "once" a call inside `with keepmap.evicting` gave what the full cache gives ({note}); give '
            '`context_length`, or take mode "decode"',
            stacklevel=2,
        )

    def has(self, given: object) -> bool:
        """Whether a call that is given this cache, or None, runs under eviction."""
        return self._fresh is not None or isinstance(given, EvictingCache) or given in _instead

    def _cache_for(self, given: object) -> EvictingCache | None:
        """Ours for this call, None where it is the model's own."""
        if isinstance(given, EvictingCache):
            return given
        if isinstance(given, DynamicCache) and given in _instead:
            if not given.get_seq_length():  # it was reset
                _instead[given].reset()
                _instead[given] = _instead[given] if self._fresh is None else self._fresh()
            return _instead[given]
        if self._fresh is None:
            return None
        if given is None:
            return self._fresh()
        if not isinstance(given, DynamicCache) or given.get_seq_length():
            filled = " that has seen tokens without eviction" if isinstance(given, DynamicCache) else ""
            raise InputError(
                "expected `past_key_values` to be a keepmap.EvictingCache, an empty DynamicCache or nothing inside "
                f"`with keepmap.evicting`, got {kind_of(given)}{filled}"
            )
        if getattr(given, "offloading", False):
            raise InputError("an evicting cache stays where the model is; leave offloading out")
        # An empty one is there to be filled, by `generate` or a user: ours stands in for it, whenever it comes again.
        _instead[given] = self._fresh()
        return _instead[given]


def evicting(
    model: "LanguageModel | PreTrainedModel | str | Path",
    method: str | Method | None = None,
    *,
    threshold: float | None = None,
    density: float | None = None,
    budget: int | None = None,
    budget_by: object = None,
    n_sink: int | None = None,
    window: int | None = None,
    mode: str | None = None,
    chunk_size: int = 1,
    context_length: int | None = None,
    interval: int = 1,
    seed: int = 0,
) -> AbstractContextManager[EvictingRun]:
    """Inside, a model generates under eviction: `generate`, pipelines and plain calls, each on a fresh cache.

    A call that is given an EvictingCache goes on with that one, and ours stands in for a DynamicCache that is empty. In
    mode "once" a plain call that nothing goes on from is cut behind its last token: a warning says so. Any thread may
    make the calls. At the end the model is as it was. Greedy decoding, sampling, streaming, beams and batches with
    padding at the left work: each text is evicted as if it were alone. Assisted and prompt-lookup decoding are refused.

    >>> import keepmap, torch
    >>> language_model = keepmap.load_language_model("tiny")
    >>> ids = language_model.tokenizer("The code of river is 4821. " * 9, return_tensors="pt").input_ids
    >>> with keepmap.evicting(language_model, "h2o", density=0.2, window=16) as run:
    ...     answer = language_model.model.generate(ids, max_new_tokens=5, do_sample=False)
    >>> whole = keepmap.evict(language_model, answer[0, :-1], "h2o", density=0.2, window=16)
    >>> torch.equal(run.keep_map.expires, whole.keep_map.expires)
    True
    >>> run.report().nbytes < run.report().full_nbytes
    True

    Args:
        model: as in `evict`.
        method: a name or an instance; None where only calls that are given an EvictingCache run under eviction.
        threshold, density, budget, budget_by, n_sink, window, mode, chunk_size, interval, seed: as in `evict`.
        context_length: in mode "once", after how many tokens each cache is cut; by default after those of its first
            call, which with `prefill_chunk_size` is a part of the prompt.

    Raises:
        InputError: an option out of range, a method that is refused, a block in a block.
        ModelError: the model is not supported, or has no surrogate for the method.
    """
    language_model = as_language_model(model)
    options = {
        "threshold": threshold,
        "density": density,
        "budget": budget,
        "budget_by": budget_by,
        "n_sink": n_sink,
        "window": window,
        "mode": mode,
        "context_length": context_length,
    }
    fresh: Callable[[], EvictingCache] | None = None
    if method is not None:
        # The options are checked here, before anything runs.
        first = EvictingCache(language_model, method, **options, chunk_size=chunk_size, interval=interval, seed=seed)  # type: ignore[arg-type]
        fresh = first.fork
    else:
        # Each of them as where a method takes it, and none without one.
        when, seed = as_mode(mode, chunk_size, context_length, interval), as_integer("seed", seed)
        numbers = {"chunk_size": when.chunk_size > 1, "interval": when.interval > 1, "seed": seed != 0}
        given = [*(name for name, value in options.items() if value is not None), *filter(numbers.get, numbers)]
        if given:
            raise InputError(f"expected `method` to be given with `{given[0]}`, got none")
    return _block(EvictingRun(language_model, fresh))


@contextmanager
def _block(run: EvictingRun) -> Iterator[EvictingRun]:
    with calls_in_hands(run.model, run.prepare), _candidates_refused(run):
        yield run
    run.close()


@contextmanager
def _candidates_refused(run: EvictingRun) -> Iterator[None]:
    """Assisted and prompt-lookup decoding take positions back: inside, they are refused before anything runs."""
    own, before = getattr(run.model, _CANDIDATES, None), vars(run.model).get(_CANDIDATES)

    def refuse(*args: Any, **named: Any) -> Any:
        if run.has(named.get("model_kwargs", {}).get("past_key_values")):
            raise no_way_back()
        return own(*args, **named)  # type: ignore[misc]

    if own is not None:
        setattr(run.model, _CANDIDATES, refuse)
    try:
        yield
    finally:
        if own is not None:
            delattr(run.model, _CANDIDATES)
        if before is not None:
            setattr(run.model, _CANDIDATES, before)
