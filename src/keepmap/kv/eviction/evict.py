"""Run a model as if what a method drops were gone: exact, at the cost of one forward pass.

L layer · H query head · G KV head · N positions.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.core.arguments import as_function, as_integer, as_number
from keepmap.core.keep_map import KeepMap
from keepmap.core.progress import Progress
from keepmap.errors import InputError
from keepmap.kv.budgets import Budget, as_spread
from keepmap.kv.choosing import Expiries, LayerRule, Protection, Rule, Threshold, rule_in_layer
from keepmap.kv.eviction.attention import evicting_attention
from keepmap.kv.eviction.checks import check_supported, last_query_felt
from keepmap.kv.eviction.deciding import decide
from keepmap.kv.eviction.dense import read_twice
from keepmap.kv.eviction.eviction import Eviction
from keepmap.kv.eviction.once import CutOfModel, after_the_cut, cut_of_model, part_of
from keepmap.kv.eviction.resolve import as_method
from keepmap.kv.method import Method, Scored
from keepmap.kv.modes import Mode, as_mode
from keepmap.kv.passes import LayerCall, as_tokens, run
from keepmap.language_model import LanguageModel, as_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["evict", "origin", "require_mode", "rule_for"]


@dataclass(frozen=True, eq=False)
class _Decision:
    """What was decided in one layer, on the CPU; `felt` as in Eviction."""

    expires: Int[Tensor, "G N"]
    held: Bool[Tensor, "G N"]
    scores: Float[Tensor, "G N"]
    felt: bool


def evict(
    model: "LanguageModel | PreTrainedModel | str | Path",
    inputs: Any,
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
    progress: Progress | None = None,
) -> Eviction:
    """Process a text as token-by-token decoding with eviction would, in one pass over the layers.

    `mode` says when it is decided: "decode", while reading and generating, is the truth and the default; "chunked" at
    the end of each `chunk_size` queries. In "once" every query of the context, the first `context_length` tokens, sees
    its whole prefix; after the last one there is one cut, by the scores of that moment, in which the sinks and the last
    `window` positions of the context are protected. From then on nothing more is evicted: later queries see what was
    kept of the context, and everything after it, which `scores` calls 0.

    >>> import keepmap
    >>> eviction = keepmap.evict("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
    >>> eviction.keep_map.compressible_density(), eviction.logits.shape[0] == eviction.keep_map.shape[2]
    (0.0, True)

    Args:
        model: a LanguageModel, a loaded Hugging Face model, a folder, a hub id, a GGUF file, "tiny" or
            "smollm2".
        inputs: one text: a string, token ids [N] or [1, N] of any integer type, or what a tokenizer gives.
        method: a name (`keepmap.methods()` lists them), or an instance, of a class of your own too.
        threshold, density, budget: the rule, at most one of them: drop below a threshold; hold a share of what left the
            window; hold a fixed number. By default the method's own.
        budget_by: who shares what may be held: "head", each its own; "layer", the heads of a layer, of which each keeps
            a fifth of its even part; "model", all heads, in mode "once" alone; "pyramid", less in later layers; a file
            or nested sequences of shares, one of KV heads for each layer. By default the method's own, which is "head"
            for most.
        n_sink, window: how many first and last positions are protected; by default the method's own.
        mode: "decode", "chunked" or "once"; by default "decode", and "chunked" where a `chunk_size` is given.
        chunk_size: queries processed together; decisions fall at a chunk's end. 1 is exact decoding.
        context_length: in mode "once", how many tokens are read before the cut.
        interval: in mode "decode", decide after every so many queries alone; what came in between is held until then.
        seed: for methods that draw.
        progress: called after each layer with the share of the layers that are done.

    Raises:
        InputError: an option out of range, more than one rule, options of another mode, an unknown method, no text, one
            that is too long, or one that is shorter than its context.
        ModelError: the model is not supported, or has no surrogate for the method.
        ImpossibleResultError: a NaN score, or an attention that is not what the map says.
    """
    language_model = as_language_model(model)
    tokens = as_tokens(language_model, inputs)
    method = as_method(method, language_model)
    rule = rule_for(method, threshold=threshold, density=density, budget=budget, budget_by=budget_by)
    protection = Protection(
        method.n_sink if n_sink is None else n_sink,
        method.window if window is None else window,
    )
    when = as_mode(mode, chunk_size, context_length, interval)
    require_mode(rule, when)
    context = _context(when, len(tokens))
    # To a method and a rule, a context that is cut once is a text of one chunk.
    chunk_size = when.every if context is None else context
    seed, progress = as_integer("seed", seed), as_function("progress", progress)
    check_supported(language_model)
    decisions: dict[int, _Decision] = {}
    layers = language_model.n_layers

    def decided(call: LayerCall, layer_rule: LayerRule) -> tuple[Expiries, Tensor, Tensor | None]:
        """What a layer decides of a text or of its context, the scores, and its attention where that falls off."""
        part = call if context is None else part_of(call, 0, context)
        again = None if repeated is None else repeated[call.layer]
        what = (method, layer_rule, protection, chunk_size, seed, when.ends)
        result = decide(part, language_model.model, *what, whole=call, repeated=again)
        return result.choice, result.scores, result.output

    def attend(call: LayerCall) -> Tensor:
        if shared is None:
            choice, scores, output = decided(call, rule_in_layer(rule, call.layer, layers, call.keys.shape[0]))
        else:
            choice, scores, output = shared.of_layer(call.layer, call.keys.device), shared.scores[call.layer], None
        n, ready = call.keys.shape[1], 0 if output is None else output.shape[1]
        if context is not None:
            choice, scores = after_the_cut(choice, scores, n)
        if ready < n:
            rest = evicting_attention(
                call.queries[:, ready:],
                call.keys,
                call.values,
                choice.expires,
                call.sees_from,
                scaling=call.scaling,
                softcap=call.softcap,
                sinks=call.sinks,
            )
            output = rest if output is None else torch.cat([output, rest], dim=1)
        assert output is not None
        felt = last_query_felt(call, choice.expires, output)
        decisions[call.layer] = _Decision(choice.expires.cpu(), choice.held.cpu(), scores.cpu().float(), felt)
        if progress is not None:
            progress(len(decisions) / layers)
        return output

    looks_ahead = method.needs == "future"
    repeats = isinstance(method, Scored) and method.needs_repetition
    repeated = read_twice(language_model, tokens[:context]) if repeats else None
    shared: CutOfModel | None = None
    if isinstance(rule, Budget) and rule.by == "model":
        assert context is not None  # require_mode takes no other mode
        # Only an oracle looks at what comes after the context.
        read = partial(run, language_model.model, language_model.body, tokens[: None if looks_ahead else context])
        shared = cut_of_model(read, decided, rule, protection)
    hidden_states = run(language_model.model, language_model.body, tokens, attend)
    by_layer = [decisions[layer] for layer in range(language_model.n_layers)]
    keep_map = KeepMap(
        torch.stack([decision.expires for decision in by_layer]),
        torch.stack([decision.scores for decision in by_layer]),
        held=torch.stack([decision.held for decision in by_layer]),
        n_sink=protection.n_sink,
        window=protection.window,
        threshold=rule.threshold if isinstance(rule, Threshold) else None,
        context_length=context,
        info=origin(language_model, method, rule, when, seed),
    )
    return Eviction(
        hidden_states=hidden_states,
        keep_map=keep_map,
        language_model=language_model,
        input_ids=tokens,
        felt=any(decision.felt for decision in by_layer),
    )


def _context(when: Mode, n: int) -> int | None:
    """How many of n tokens are the context that is cut once, None in the other modes.

    Raises:
        InputError: it is not said, or there are fewer tokens.
    """
    if when.name != "once":
        return None
    length = when.context_of(n)
    if length is None:
        raise InputError('expected a `context_length` in mode "once", got none; say after how many tokens to cut')
    if length > n:
        raise InputError(f"expected a `context_length` of at most {n}, the tokens of the text, got {length}")
    return length


def origin(language_model: LanguageModel, method: Method, rule: Rule, when: Mode, seed: int) -> dict[str, object]:
    """What a KeepMap says of how it was decided."""
    return {
        "method": method.name,
        "label": method.label,
        "model": language_model.name,
        "rule": "threshold" if isinstance(rule, Threshold) else "budget",
        "density": rule.density if isinstance(rule, Budget) else None,
        "budget": rule.count if isinstance(rule, Budget) else None,
        "budget_by": rule.spread if isinstance(rule, Budget) else None,
        "mode": when.name,
        "chunk_size": when.chunk_size,
        "interval": when.interval,
        "context_length": when.context_length,
        "seed": seed,
    }


def rule_for(
    method: Method | type[Method],
    *,
    threshold: float | None = None,
    density: float | None = None,
    budget: int | None = None,
    budget_by: object = None,
) -> Rule:
    """The rule that the options name, or the method's own.

    Raises:
        InputError: more than one rule, or a value out of range.
    """
    rules = {"threshold": threshold, "density": density, "budget": budget}
    named = [name for name, value in rules.items() if value is not None]
    if len(named) > 1:
        raise InputError(f"expected one rule, got {' and '.join(f'`{name}`' for name in named)}; leave all but one out")
    threshold = None if threshold is None else as_number("threshold", threshold)
    density = None if density is None else as_number("density", density, 0.0, 1.0)
    budget = None if budget is None else as_integer("budget", budget)
    if method.name == "baseline":
        named += ["budget_by"] if budget_by is not None else []
        if named and (budget_by is not None or not (threshold == float("-inf") or density == 1.0)):
            raise InputError(f"the baseline keeps everything: leave `{named[-1]}` out")
        return Threshold(float("-inf"))
    if density is None and budget is None and (threshold is not None or method.threshold is not None):
        if budget_by is not None:
            raise InputError(
                "expected `density` or `budget` to be given with `budget_by`, which says who shares it, got neither"
            )
        return Threshold(method.threshold if threshold is None else threshold)  # type: ignore[arg-type]
    if density is None and budget is None:
        density = method.density
    if density is None and budget is None:
        raise InputError(
            f"expected one of `threshold`, `density` and `budget`, as the method {method.name} declares neither a "
            "threshold nor a density, got none"
        )
    return Budget(density, budget, as_spread(method.budget_by if budget_by is None else budget_by, density))


def require_mode(rule: Rule, when: Mode) -> None:
    """Whether a rule can be applied in a mode.

    Raises:
        InputError: all layers share the budget, and it is decided before all of them have read.
    """
    if isinstance(rule, Budget) and rule.by == "model" and when.name != "once":
        raise InputError(
            f'expected `mode` to be "once" where `budget_by` is "model", got "{when.name}", in which a layer decides '
            "before the next ones have read; spread the budget by layer, or cut once"
        )
