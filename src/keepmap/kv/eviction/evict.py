"""Run a model as if what a method drops were gone: exact, at the cost of one forward pass.

L layer · H query head · G KV head · N positions.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.attention.forward import LayerCall, run
from keepmap.attention.text import one_text
from keepmap.core.keep_map import KeepMap
from keepmap.errors import InputError
from keepmap.kv.choosing import Budget, Protection, Rule, Threshold, choose, decided_at
from keepmap.kv.eviction.attention import evicting_attention
from keepmap.kv.eviction.checks import last_query_felt
from keepmap.kv.eviction.resolve import resolve_method
from keepmap.kv.eviction.rotation import rotation_of
from keepmap.kv.eviction.scan import scan
from keepmap.kv.eviction.support import check_supported
from keepmap.kv.method import LayerInput, Method, Received, Scored
from keepmap.language_model import LanguageModel

__all__ = ["Eviction", "evict", "rule_for"]


@dataclass(frozen=True)
class Eviction:
    """One text through a model under one method.

    Attributes:
        hidden_states: [N, hidden], the last ones.
        keep_map: what was kept, until when.
        language_model: whose head gives the logits.
        felt: whether, in some layer, what the last query no longer saw would have changed its attention by more than
            rounding. Equal tokens have equal values, and dropping some of them changes nothing.
    """

    hidden_states: Float[Tensor, "N hidden"]
    keep_map: KeepMap
    language_model: LanguageModel
    felt: bool

    @cached_property
    def logits(self) -> Float[Tensor, "N vocab"]:
        """The logits after each token (computed when first asked for; N x vocabulary numbers)."""
        return self.language_model.head(self.hidden_states)


def evict(
    language_model: LanguageModel,
    input_ids: Int[Tensor, "*batch N"],
    method: str | Method,
    *,
    threshold: float | None = None,
    density: float | None = None,
    budget: int | None = None,
    n_sink: int | None = None,
    window: int | None = None,
    chunk_size: int = 1,
    seed: int = 0,
) -> Eviction:
    """Process a text as token-by-token decoding with eviction would, in one pass over the layers.

    Args:
        input_ids: the tokens of one text, [N] or [1, N].
        method: a name (`keepmap methods` lists them) or a Method.
        threshold, density, budget: the rule, at most one of them: drop below a threshold; hold a share of what left the
            window; hold a fixed number. By default the method's own.
        n_sink, window: how many first and last positions are protected; by default the method's own.
        chunk_size: queries processed together; decisions fall at a chunk's end. 1 is exact decoding.
        seed: for methods that draw.

    Raises:
        InputError: an option out of range, more than one rule, an unknown method, no text or one that is too long.
        ModelError: the model cannot be done, or has no surrogate for the method.
        ImpossibleResultError: a NaN score, or an attention that is not what the map says.
    """
    tokens = one_text(input_ids, language_model)
    check_supported(language_model)
    if isinstance(method, str):
        method = resolve_method(method, language_model)
    rule = rule_for(method, threshold=threshold, density=density, budget=budget)
    protection = Protection(method.n_sink if n_sink is None else n_sink, method.window if window is None else window)
    if chunk_size < 1:
        raise InputError(f"a chunk size of {chunk_size} was asked for; it must be 1 or more (1 is exact decoding)")
    n = tokens.shape[0]
    shape = (language_model.n_layers, language_model.n_kv_heads, n)
    expires = torch.empty(shape, dtype=torch.int64)
    held = torch.empty(shape, dtype=torch.bool)
    all_scores = torch.empty(shape, dtype=torch.float32)
    felt: list[bool] = []

    def attend(call: LayerCall) -> Tensor:
        if isinstance(method, Received):
            choice, scores = scan(call, method, rule, protection, chunk_size)
        else:
            assert isinstance(method, Scored)
            scores = method.score(_layer_input(call, language_model, method, protection, chunk_size, seed))
            choice = choose(scores, rule, protection, chunk_size)
        expires[call.layer], held[call.layer], all_scores[call.layer] = choice.expires, choice.held, scores
        output = evicting_attention(
            call.queries,
            call.keys,
            call.values,
            choice.expires,
            call.sees_from,
            scaling=call.scaling,
            softcap=call.softcap,
            sinks=call.sinks,
        )
        felt.append(last_query_felt(call, choice.expires, output))
        return output

    hidden_states = run(language_model.model, language_model.body, tokens, attend)
    info = {
        "method": method.name,
        "label": method.label,
        "model": language_model.name,
        "rule": "threshold" if isinstance(rule, Threshold) else "budget",
        "density": rule.density if isinstance(rule, Budget) else None,
        "budget": rule.count if isinstance(rule, Budget) else None,
        "chunk_size": chunk_size,
        "seed": seed,
    }
    keep_map = KeepMap(
        expires,
        all_scores,
        held,
        protection.n_sink,
        protection.window,
        rule.threshold if isinstance(rule, Threshold) else None,
        info,
    )
    return Eviction(hidden_states, keep_map, language_model, any(felt))


def rule_for(
    method: Method | type[Method],
    *,
    threshold: float | None = None,
    density: float | None = None,
    budget: int | None = None,
) -> Rule:
    """The rule that was asked for, or the method's own.

    Raises:
        InputError: more than one rule, or a value out of range.
    """
    given = {"threshold": threshold, "density": density, "budget": budget}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise InputError(f"one rule at a time: {' and '.join(named)} were given")
    if method.name == "baseline":
        if named and not (threshold == float("-inf") or density == 1.0):
            raise InputError(f"the baseline keeps everything: leave {named[0]} out")
        return Threshold(float("-inf"))
    if threshold is not None:
        return Threshold(threshold)
    if density is not None or budget is not None:
        return Budget(density, budget)
    if method.threshold is not None:
        return Threshold(method.threshold)
    return Budget(method.density)


def _layer_input(
    call: LayerCall,
    language_model: LanguageModel,
    method: Method,
    protection: Protection,
    chunk_size: int,
    seed: int,
) -> LayerInput:
    return LayerInput(
        call.layer,
        call.hidden_states,
        call.queries,
        call.keys,
        call.values,
        rotation_of(language_model.model, call) if method.needs_rotation else None,
        decided_at(call.keys.shape[1], protection, chunk_size, call.keys.device),
        call.scaling,
        protection.n_sink,
        seed,
    )
