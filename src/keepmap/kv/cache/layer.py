"""One layer of the cache, as transformers calls it: it takes keys and values in, and our attention does the rest."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepmap.errors import InputError, ModelError
from keepmap.kv.budgets import Budget
from keepmap.kv.cache.decoding.step import step
from keepmap.kv.cache.held import AFTER_THE_CUT, Held, Terms
from keepmap.kv.cache.interface import SeenLayer
from keepmap.kv.cache.stretch import stretch
from keepmap.kv.choosing import Protection, decided_at
from keepmap.kv.eviction.checks import scores_of
from keepmap.kv.eviction.once import KEEPS_ALL, part_of
from keepmap.kv.eviction.review import sight_of
from keepmap.kv.eviction.rotation import rotation_of
from keepmap.kv.method import LayerInput, Reviewed, Rotation, Scored
from keepmap.kv.passes import LayerCall, active
from keepmap.kv.scoring.projection import projection_of
from keepmap.kv.sharing import dropped_by_model

__all__ = ["EvictingLayer", "cut_together", "layers_of"]

_AHEAD = 64
"""Positions whose scores are asked for ahead where tokens come one by one, of methods that need no text."""


@lru_cache(maxsize=2)
def _decided_at(first: int, new: int, protection: Protection, chunk_size: int, device: torch.device) -> Tensor:
    """The same for every layer."""
    return decided_at(first + new, protection, chunk_size, device)[first:]


class EvictingLayer(SeenLayer):
    """What one layer holds, and how many positions it has seen: `get_seq_length` is that, never what is held.

    Attributes:
        held: what it holds, None before the first position.
        context_length: in mode "once", after how many positions it is cut; None before the first call says it, and in
            the other modes.
        peak: bytes that it took at most during the last pass. full_nbytes: what it would take without eviction.
        at_cut: [G, C], the scores of a context that all layers cut together, until they do.
        is_broken: a pass ended in the middle of it.
    """

    def __init__(self, layer: int, terms: Terms, model: nn.Module) -> None:
        super().__init__()
        self.layer, self.given, self.model = layer, terms, model
        self.context_length = terms.mode.context_of(0)
        self.held: Held | None = None
        self.is_broken = False
        self.at_cut: np.ndarray | None = None
        self.peak = self.full_nbytes = 0
        self._new: tuple[Tensor, Tensor] | None = None
        self._ahead, self._ahead_from = np.zeros((0, 0)), 0

    @property
    def terms(self) -> Terms:
        """What decides now: a context that is cut once is one chunk, and nothing is decided after it."""
        if self.context_length is None:
            return self.given
        if self.get_seq_length() >= self.context_length:
            return AFTER_THE_CUT
        # What all layers share is cut when all have read: by the cache.
        rule = KEEPS_ALL if self.is_cut_by_all else self.given.rule
        return replace(self.given, rule=rule, chunk_size=self.context_length)

    @property
    def is_cut_by_all(self) -> bool:
        """Whether all layers share a budget."""
        return isinstance(self.given.rule, Budget) and self.given.rule.by == "model"

    @property
    def nbytes(self) -> int:
        """What it takes now."""
        return self._ahead.nbytes + (0 if self.held is None else self.held.nbytes)

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Slabs for the first keys and values."""
        with torch.inference_mode(False):
            keys, values = (
                torch.empty(0, states.shape[3], dtype=states.dtype, device=states.device)
                for states in (key_states, value_states)
            )
        self.hold(Held(self.layer, key_states.shape[1], keys, values))

    def hold(self, held: Held) -> None:
        """Go on with that."""
        self.held, self.is_initialized = held, True
        if isinstance(self.given.method, Reviewed) and self.given.method.needs_norms:
            held.projection = projection_of(self.model, self.layer)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Note the new keys and values; the attention that comes next adds and uses them.

        Raises:
            InputError: a pass without our attention.
        """
        if active.get() is None:
            raise InputError(
                "an evicting cache works inside `with keepmap.evicting(model):` alone; make this call there"
            )
        self._new = key_states, value_states
        return key_states, value_states

    def attend(self, call: LayerCall) -> Float[Tensor, "H N Dv"]:
        """The attention of the new positions, which are added; what expires is dropped.

        Raises:
            ModelError: the layer did not give its keys and values to the cache.
            InputError: the model computes in another number format than before.
            ImpossibleResultError: a NaN score.
        """
        new, self._new = self._new, None
        if new is None or new[0].shape[2] != call.keys.shape[1]:
            raise ModelError(f"{type(call.module).__name__} is not supported: it keeps its keys and values elsewhere")
        if self.held is None:
            self.lazy_initialization(call.keys[None], call.values[None])
        assert self.held is not None
        if self.held.slabs.keys.dtype != call.keys.dtype:
            before, now = (str(each.dtype).removeprefix("torch.") for each in (self.held.slabs.keys, call.keys))
            raise InputError(
                f"expected keys in {before}, as this cache holds, got {now}: the model or `torch.autocast` changed "
                "since; go on as before, or with a new cache"
            )
        parts = self._around_the_cut(call)
        self.is_broken = True
        if torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            with torch.inference_mode(False), torch.no_grad():
                output = self._all_added(parts)
        else:
            output = self._all_added(parts)  # a step is short enough for two contexts to count
        self._count(call)
        self.is_broken = False
        if not (torch.is_grad_enabled() and call.queries.requires_grad):
            return output
        result: Tensor = _NoWayBack.apply(output, call.queries)
        return result

    def take(self, call: LayerCall, scores: np.ndarray, stays: np.ndarray) -> None:
        """Hold what stays of a context that was read densely elsewhere: the layer is as if it had been read here.

        Args:
            scores: float64 [G, C], which decided. stays: bool [G, C].
        """
        context = call.keys.shape[1]
        self.lazy_initialization(call.keys[None], call.values[None])
        assert self.held is not None
        self.held.append(call.keys, call.values, scores)
        self.held.drop(~stays, np.full(stays.shape, context))
        self.held.slide(int(call.sees_from[-1]), AFTER_THE_CUT.method)
        self.context_length = context
        self._count(call)

    def _count(self, call: LayerCall) -> None:
        """Bytes after the last of the new positions."""
        assert self.held is not None
        self.peak, self.held.peak = self.held.peak, 0
        entries = self.held.seen - int(call.sees_from[-1:].item())
        self.full_nbytes = self.held.heads * entries * self.held.slabs.entry_nbytes

    def _around_the_cut(self, call: LayerCall) -> list[LayerCall]:
        """The call; in two parts where the context of mode "once" ends inside of it.

        Raises:
            InputError: the method looks at all of the context, and this is a part of it; or all layers are cut
                together, and this goes on behind it.
        """
        if self.given.mode.name != "once":
            return [call]
        seen, new = self.get_seq_length(), call.keys.shape[1]
        if self.context_length is None:
            self.context_length = new
        left = self.context_length - seen
        if self.is_cut_by_all and 0 < left < new:
            raise InputError(
                f"expected a call that ends with the context of {self.context_length} tokens, as all layers are cut "
                f"together after it, got {new} tokens after {seen}; give what comes after the context by another call"
            )
        if self.given.method.needs == "prefix" and left > 0 and (seen or new < left):
            raise InputError(
                f"expected the context of {self.context_length} tokens in one call, as {self.given.method.name} looks "
                f"at all of its queries, got {new} of them after {seen}; leave `prefill_chunk_size` out"
            )
        return [part_of(call, 0, left), part_of(call, left, new)] if 0 < left < new else [call]

    def _all_added(self, parts: Sequence[LayerCall]) -> Float[Tensor, "H N Dv"]:
        """The attention of new positions, which are added part by part."""
        outputs = [self._added(part) for part in parts]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)

    def _added(self, call: LayerCall) -> Float[Tensor, "H N Dv"]:
        """The attention of new positions, which are added; what expires is dropped."""
        assert self.held is not None
        terms, scores = self.terms, self._scores(call)
        is_step = call.keys.shape[1] == 1
        if isinstance(terms.method, Reviewed):
            self.held.sight = sight_of(call, self._rotation(call, terms.method), self.held.sight)
            # A step sees all that is held, which here may be more than the model's own window shows.
            shows_all = terms.method.observes <= 1 and not terms.method.needs_hidden
            is_step = is_step and (shows_all or not int(call.sees_from[-1]))
        # A cut drops more at a time than a step is made for.
        output = (step if is_step and terms.mode.name != "once" else stretch)(call, self.held, terms, scores)
        if isinstance(terms.method, Reviewed) and self.held.sight is not None:
            sight = self.held.sight.summed(terms.method, self.held.seen - 1, terms.protection.n_sink)
            self.held.sight = sight.last(terms.method.observes)
        if self.held.seen == self.context_length:
            # Scores that were asked for ahead are not those of what comes after the cut.
            self._ahead = np.zeros((0, 0))
            if self.is_cut_by_all:
                positions, now = self.held.scores_now(terms)
                self.at_cut = np.zeros((self.held.heads, self.held.seen))
                np.put_along_axis(self.at_cut, positions.astype(np.int64), now, axis=1)
            if not isinstance(terms.method, Scored):
                self.held.settle(terms)
                self.held.sight = None
                self.held.slide(int(call.sees_from[-1]), AFTER_THE_CUT.method)
        return output

    def cut(self, dropped: np.ndarray) -> None:
        """Drop positions of the context, bool [G, C], which is all that it holds."""
        assert self.held is not None
        positions, _ = self.held.all()
        wanted = (positions >= 0) & np.take_along_axis(dropped, positions.clip(min=0).astype(np.int64), axis=1)
        self.at_cut = None
        with torch.inference_mode(False), torch.no_grad():
            self.held.drop(wanted, np.full(wanted.shape, self.held.seen))

    def _rotation(self, call: LayerCall, method: Reviewed) -> Rotation | None:
        """The layer's rotation, where the method looks at it: that of its first call tells it.

        Raises:
            InputError: the first call has one token, on which no rotation is seen.
        """
        assert self.held is not None
        if not method.needs_rotation or self.held.sight is not None:
            return None if self.held.sight is None else self.held.sight.rotation
        if call.keys.shape[1] == 1:
            raise InputError(
                f"expected the first call on the cache to have two tokens or more, as {method.name} looks at keys "
                "before their rotation, got one; give the beginning of the text at once"
            )
        return rotation_of(self.model, call)

    def _scores(self, call: LayerCall) -> np.ndarray | None:
        """The scores of methods that know them as positions come, in float64."""
        method = self.terms.method
        if not isinstance(method, Scored):
            return None
        assert self.held is not None
        first = self.held.seen
        new = call.keys.shape[1]
        if new > 1 or not method.by_position:
            return self._scores_of(method, call, first, new)
        at = first - self._ahead_from
        if not 0 <= at < self._ahead.shape[1]:
            self._ahead, self._ahead_from, at = self._scores_of(method, call, first, _AHEAD), first, 0
        return self._ahead[:, at : at + 1]

    def _scores_of(self, method: Scored, call: LayerCall, first: int, new: int) -> np.ndarray:
        """Of so many positions: of those that have not come, the last one stands in for what is not looked at."""
        protection, device = self.terms.protection, call.keys.device
        scores = scores_of(
            method,
            LayerInput(
                layer=call.layer,
                hidden_states=call.hidden_states.expand(new, -1),
                queries=call.queries.expand(-1, new, -1),
                keys=call.keys.expand(-1, new, -1),
                values=call.values.expand(-1, new, -1),
                rotation=rotation_of(self.model, call) if method.needs_rotation else None,
                decided_at=_decided_at(first, new, protection, self.terms.chunk_size, device),
                scaling=call.scaling,
                n_sink=protection.n_sink,
                seed=self.terms.seed,
                first=first,
            ),
        )
        values: np.ndarray = scores.detach().double().cpu().numpy()
        return values

    def get_seq_length(self) -> int:
        """How many positions were seen."""
        return 0 if self.held is None else self.held.seen

    def reset(self) -> None:
        """Forget everything."""
        self.held, self._new, self.is_initialized, self.is_broken = None, None, False, False
        self._ahead, self._ahead_from = np.zeros((0, 0)), 0
        self.context_length = self.given.mode.context_of(0)


def layers_of(model: nn.Module, layers: int, heads: int, terms: Terms) -> list[EvictingLayer]:
    """A new layer for each of the model's, which have so many KV heads.

    Raises:
        InputError: a table of shares for another model.
    """
    return [EvictingLayer(layer, terms.in_layer(layer, layers, heads), model) for layer in range(layers)]


def cut_together(layers: Sequence[EvictingLayer], terms: Terms) -> None:
    """Cut a context that all layers have read, where they share a budget."""
    assert isinstance(terms.of_model, Budget)
    scores = np.stack([layer.at_cut for layer in layers if layer.at_cut is not None])
    dropped = dropped_by_model(scores, terms.of_model, terms.protection.n_sink, terms.protection.window)
    for layer, of_layer in zip(layers, dropped, strict=True):
        layer.cut(of_layer)


class _NoWayBack(torch.autograd.Function):
    """Under eviction no gradient comes back: it is said, where it would be wrong without a word."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, queries: Tensor) -> Tensor:
        """The attention, as one that depends on the queries."""
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Refused.

        Raises:
            InputError: always.
        """
        raise InputError("no gradients come back through an evicting cache; train the model outside of it")
