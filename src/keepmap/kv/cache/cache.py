"""A cache for a Hugging Face model whose decisions are those of `evict`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from keepmap.core.arguments import as_function, as_integer, as_path
from keepmap.core.keep_map import KeepMap
from keepmap.core.outside.memory import within_memory
from keepmap.core.progress import Progress
from keepmap.core.storage.tensors import read_labelled, require_file, write_labelled
from keepmap.errors import InputError, counted
from keepmap.kv.cache.batches.texts import CacheOfTexts
from keepmap.kv.cache.checks import check_cached, require_cacheable
from keepmap.kv.cache.files import FORMAT, HISTORY, about_of, held_from, history_of, require_same, tensors_of
from keepmap.kv.cache.held import Held, Terms
from keepmap.kv.cache.layer import EvictingLayer, cut_together, layers_of
from keepmap.kv.cache.plain import plain_cache
from keepmap.kv.cache.report import CacheReport, Moment, report_of
from keepmap.kv.choosing import Protection, Rule, Threshold
from keepmap.kv.eviction.checks import check_supported
from keepmap.kv.eviction.evict import origin, require_mode, rule_for
from keepmap.kv.eviction.resolve import as_method
from keepmap.kv.method import Method, Received
from keepmap.kv.modes import Mode, as_mode
from keepmap.kv.passes import LayerCall, as_tokens, run
from keepmap.language_model import LanguageModel, as_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["EvictingCache"]

_BLOCK, _BLOCK_OF_RECEIVED = 1024, 512
"""Tokens that are read at once; fewer where each query's attention is kept until the decisions are made."""
_RULE = ("threshold", "density", "budget", "budget_by")
_TERMS = (*_RULE, "n_sink", "window", "mode", "chunk_size", "context_length", "interval", "seed")


class EvictingCache(CacheOfTexts):
    """A cache of keys and values that holds what a method keeps, to pass as `past_key_values`.

    It works inside `with keepmap.evicting(model):`, for one text or a batch, in as many calls as one likes. Its
    decisions are those of `keepmap.evict` on the same tokens, and so are the logits; in a batch, each text's are those
    of this text alone, and each has a cache of its own, one of the `rows`.

    >>> import keepmap
    >>> language_model = keepmap.load_language_model("tiny")
    >>> cache = keepmap.EvictingCache(language_model, "streaming_llm", window=16)
    >>> ids = language_model.tokenizer("The code of river is 4821. " * 9, return_tensors="pt").input_ids
    >>> with keepmap.evicting(language_model):
    ...     answer = language_model.model.generate(ids, max_new_tokens=5, do_sample=False, past_key_values=cache)
    >>> cache.get_seq_length() == answer.shape[1] - 1, cache.keep_map().kept().sum(dim=2).unique().tolist()
    (True, [20])

    Args:
        model: as in `evict`.
        method: a name or an instance. One that looks at the whole prefix (expected_attention) is refused but in mode
            "once", where its context is to come in one call; one that looks ahead (an oracle) always.
        threshold, density, budget, budget_by, n_sink, window, mode, chunk_size, interval, seed: as in `evict`.
        context_length: in mode "once", after how many tokens it is cut; by default after those of the first call.

    Attributes:
        moments: what it held after each pass, of one text.

    Raises:
        InputError: an option out of range, more than one rule, options of another mode, a method that needs what a
            cache does not hold.
        ModelError: the model is not supported, or has no surrogate for the method.
    """

    def __init__(
        self,
        model: "LanguageModel | PreTrainedModel | str | Path",
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
        context_length: int | None = None,
        interval: int = 1,
        seed: int = 0,
    ) -> None:
        language_model = as_language_model(model)
        method = as_method(method, language_model)
        when = as_mode(mode, chunk_size, context_length, interval)
        require_cacheable(method, when)
        terms = Terms(
            method=method,
            rule=rule_for(method, threshold=threshold, density=density, budget=budget, budget_by=budget_by),
            protection=Protection(
                method.n_sink if n_sink is None else n_sink, method.window if window is None else window
            ),
            chunk_size=when.every,
            seed=as_integer("seed", seed),
            mode=when,
        )
        require_mode(terms.of_model, when)
        check_supported(language_model)
        self._begin(language_model, terms)
        check_cached(self)

    def _begin(self, language_model: LanguageModel, terms: Terms) -> None:
        sizes = language_model.n_layers, language_model.n_kv_heads
        super().__init__(layers=layers_of(language_model.model, *sizes, terms))
        self.language_model, self.terms = language_model, terms
        self.moments: list[Moment] = []
        self._peak = 0
        self.batch = None

    def this(self) -> "EvictingCache":
        """Itself."""
        return self

    def reset(self) -> None:
        """Forget everything."""
        self._begin(self.language_model, self.terms)

    def read(self, inputs: Any, progress: Progress | None = None) -> None:
        """Let the model read a text, which goes on with what the cache has seen.

        It is read in blocks of 1,024 tokens (512 where the attention received decides): what a layer brings at once is
        held until the rule drops of it. In mode "once" the context is read in one block, of which each layer is cut
        before the next one reads it.

        Args:
            inputs: one text, as in `evict`.
            progress: called after each block with the share of the text that is read.

        Raises:
            InputError: no text, or one that is too long; a batch; a pass on this cache was broken off.
            ModelError: the memory ran out; what was read is then broken off.
        """
        tokens, progress = as_tokens(self.language_model, inputs), as_function("progress", progress)
        self.require_whole()
        if self.batch is not None:
            raise InputError("expected a cache of one text without padding, got one of a batch; read with a new one")
        self.require_room(len(tokens))
        what = f"reading {counted(len(tokens), 'token')} with {self.terms.method.label}"
        with within_memory(what, self.language_model.device, "give a shorter text, or a lower `density`"):
            done = 0
            while done < len(tokens):
                block = tokens[done : done + self._at_once(len(tokens) - done)]
                self.go_on(block)
                done += len(block)
                if progress is not None:
                    progress(done / len(tokens))

    def _at_once(self, left: int) -> int:
        """How many of the tokens that are left to be read are one block."""
        seen, context = self.get_seq_length(), self._context_length
        if self.terms.mode.name == "once" and (context is None or seen < context):
            return left if context is None else context - seen
        return _BLOCK_OF_RECEIVED if isinstance(self.terms.method, Received) else _BLOCK

    @property
    def _context_length(self) -> int | None:
        """In mode "once", after how many tokens it is cut; None before that is known, and in the other modes."""
        return self.layer(0).context_length

    def go_on(self, tokens: Int[Tensor, " N"]) -> Float[Tensor, "N hidden"]:
        """The last hidden states of tokens that come next."""
        return run(self.language_model.model, self.language_model.body, tokens, self.attend, self)

    def require_room(self, new: int) -> None:
        """Whether the model takes so many tokens more.

        Raises:
            InputError: it does not.
        """
        most, total = self.language_model.max_positions, self.get_seq_length() + new
        if most is not None and total > most:
            raise InputError(
                f'expected at most {most} tokens, which model "{self.language_model.name}" takes, got {total}'
            )

    def attend(self, call: LayerCall) -> Tensor:
        """One layer's attention for one text; what `keepmap.evicting` puts in place of the model's own."""
        output = self.layer(call.layer).attend(call)
        self.note(call)
        return output

    def note(self, call: LayerCall) -> None:
        """Count the bytes of a layer that new positions have come to."""
        layer = self.layer(call.layer)
        if call.keys.shape[1] > 1:
            self._peak = max(self._peak, self.bytes() - layer.nbytes + layer.peak)
        if call.layer == len(self.layers) - 1:
            seen = self.get_seq_length()
            if layer.is_cut_by_all and seen == self._context_length:
                self._peak = max(self._peak, self.bytes())
                cut_together(self._parts(), self.terms)
            self.moments.append(Moment(seen, self.bytes(), sum(layer.full_nbytes for layer in self._parts())))
            self._peak = max(self._peak, self.moments[-1].nbytes)

    def require_whole(self) -> None:
        """Whether every layer has seen the same positions.

        Raises:
            InputError: a pass on this cache was broken off in the middle.
        """
        if self.batch is not None:
            for row in self.batch.rows:
                row.require_whole()
            is_whole = self.batch.is_whole
        else:
            lengths = {layer.get_seq_length() for layer in self._parts()}
            is_whole = len(lengths) == 1 and not any(layer.is_broken for layer in self._parts())
        if not is_whole:
            raise InputError(
                "a pass on this cache was broken off, and its layers differ; go on from a `fork()` that was taken "
                "earlier, or from a new cache"
            )

    def keep_map(self) -> KeepMap:
        """What `keepmap.evict` says of the tokens that this cache has seen.

        Raises:
            InputError: it has seen none, it is of a batch, or a pass on it was broken off.
        """
        if (only := self.only()) is not self:
            return only.keep_map()
        parts = [held.as_if_ended(layer.terms) for held, layer in zip(self._layers_held(), self._parts(), strict=True)]
        expires, scores, held = (torch.from_numpy(np.stack(each)) for each in zip(*parts, strict=True))
        rule = self.terms.of_model
        return KeepMap(
            expires,
            scores,
            held=held,
            n_sink=self.terms.protection.n_sink,
            window=self.terms.protection.window,
            threshold=rule.threshold if isinstance(rule, Threshold) else None,
            context_length=self._context_length,
            info=origin(self.language_model, self.terms.method, rule, self._mode, self.terms.seed),
        )

    def bytes(self) -> int:
        """What it takes now: keys, values and bookkeeping, the room to spare among them; of a batch, of all rows."""
        if self.batch is not None:
            return self.batch.nbytes
        return sum(layer.nbytes for layer in self._parts())

    def report(self) -> CacheReport:
        """Bytes over time, beside those of the full cache; of a batch, of all rows together, without padding."""
        if self.batch is not None:
            return self.batch.report()
        return report_of(self.moments, self._peak, self.terms.protection, self._mode, self.get_seq_length())

    def fork(self) -> "EvictingCache":
        """A cache of its own that has seen the same: many questions on one context.

        Raises:
            InputError: a pass on this cache was broken off.
        """
        self.require_whole()
        other = EvictingCache.__new__(EvictingCache)
        other._begin(self.language_model, self.terms)
        if self.batch is not None:
            other.hold(self.batch.fork())
            return other
        for own, layer in zip(self._parts(), other._parts(), strict=True):
            if own.held is not None:
                with torch.inference_mode(False):
                    layer.held, layer.is_initialized = own.held.copy(), True
                    layer.context_length = own.context_length
        other.moments, other._peak = list(self.moments), self._peak
        return other

    def like(self, method: Method, rule: Rule) -> "EvictingCache":
        """A new cache of the same model that decides otherwise."""
        other = EvictingCache.__new__(EvictingCache)
        other._begin(self.language_model, replace(self.terms, method=method, rule=rule, mode=Mode()))
        return other

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write it as one safetensors file, whole or not at all; another cache at `path` is written over.

        Args:
            overwrite: whether a file that is no cache is written over, too.

        Raises:
            InputError: it has seen nothing, it is of a batch, or a pass on it was broken off.
            OutputError: the path cannot be written, or a file that is no cache is there.
        """
        only = self.only()
        about = about_of(only.language_model, only.terms, only._mode)
        about |= history_of(only.get_seq_length(), only.report())
        tensors = tensors_of(only._layers_held())
        write_labelled(as_path("path", path), FORMAT, about, tensors, kind="a cache", overwrite=overwrite)

    @classmethod
    def load(
        cls,
        path: str | Path,
        model: "LanguageModel | PreTrainedModel | str | Path",
        method: Method | None = None,
    ) -> "EvictingCache":
        """Read a cache that `save` wrote, for the same model.

        Args:
            model: as in `evict`.
            method: the method it was made with, where its name alone does not say all: one with other options than the
                default ones, or of a class of your own. That the class and its arrays are the same is checked.

        Raises:
            InputError: no such file, not a cache, or one of another model or method.
            ModelError: the model is not supported.
        """
        path, language_model = as_path("path", path), as_language_model(model)
        require_file(path, "cache")
        try:
            about, tensors = read_labelled(path, FORMAT)
            # Caches that were written before there were other budgets and intervals do not say that they have none.
            about.setdefault("interval", 1)
            about.setdefault("budget_by", "head" if about["threshold"] is None else None)
            terms = {name: about[name] for name in _TERMS}
            cache = cls(language_model, about["method"] if method is None else method, **terms)
            own = about_of(language_model, cache.terms, cache._mode)
            require_same(path, about, own)
            seen, like = as_integer("seen", about["seen"], 1), language_model.model.get_input_embeddings().weight
            for index, layer in enumerate(cache._parts()):
                layer.hold(held_from(tensors, index, language_model.n_kv_heads, seen, like))
            full, cache._peak = (as_integer(name, about[name], 0) for name in HISTORY[1:])
            cache.moments = [Moment(seen, cache.bytes(), full)]
        except InputError:
            raise
        except KeyError as error:
            raise InputError(f"{path} is not a cache, or is damaged: it has no {error}") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a cache, or is damaged: {error}") from None
        return cache

    def to_dynamic(self) -> DynamicCache:
        """The entries as a plain cache of transformers, in the order of their positions.

        The plain one does not know these: give `position_ids` that go on from `get_seq_length()` of this one.

        Raises:
            InputError: heads or layers hold different numbers of entries, or a layer with a window of its own has gaps;
                nothing was seen, or it is of a batch.
        """
        return plain_cache(self.only()._layers_held(), self.language_model.model.config)

    def __repr__(self) -> str:
        batch = "" if self.batch is None else f", a batch of {len(self.rows)}"
        label = f"{self.terms.method.label} on {self.language_model.label}"
        return f"EvictingCache({label}{batch}, {counted(sum(row.get_seq_length() for row in self.rows), 'token')} seen)"

    @property
    def _mode(self) -> Mode:
        """The mode, with the context that the first call has said."""
        return replace(self.terms.mode, context_length=self._context_length)

    def _layers_held(self) -> list[Held]:
        """What each layer holds, once all have seen the same."""
        self.require_whole()
        held = [layer.held for layer in self._parts() if layer.held is not None]
        if not held:
            raise InputError("expected a cache that has seen tokens, got a new one; run the model on it first")
        return held

    def layer(self, index: int) -> EvictingLayer:
        """One layer of what one text holds."""
        return self._parts()[index]

    def _parts(self) -> list[EvictingLayer]:
        layers: Any = self.layers
        return list(layers)
