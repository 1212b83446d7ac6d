"""Make an AttentionProfile: of a language model, of an agent, of a model of nn.MultiheadAttention."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from keepmap.attention.blocks import WeightBlock
from keepmap.attention.landmarks import Landmarks
from keepmap.attention.layer import AttentionLayer
from keepmap.attention.passes.bodies import body_layers, has_body
from keepmap.attention.passes.encoder import encoder_layers
from keepmap.attention.passes.forward import LayerCall, run
from keepmap.attention.passes.forward_check import check_forward
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.request import Indices, Queries, Rows, indices, require_some_context, rows
from keepmap.attention.statistics import LayerStatistics, attend, layer_statistics
from keepmap.attention.text import as_tokens
from keepmap.core.arguments import as_function, as_integer
from keepmap.core.keep_map import HasKeepMap, KeepMap
from keepmap.core.progress import Progress, part_of
from keepmap.errors import InputError, ModelError, kind_of
from keepmap.language_model import LanguageModel, as_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["AttentionSource", "StrongestAttention", "profile_attention", "strongest_attention"]


@runtime_checkable
class AttentionSource(Protocol):
    """Anything that can say what its layers attend with: an agent, or a model with an attention of its own."""

    def attention_layers(self, inputs: Any) -> Iterable[AttentionLayer]:
        """The layers of one forward pass over `inputs`, in order."""
        ...


@runtime_checkable
class KnowsLandmarks(Protocol):
    """A source whose positions have episodes and rewards."""

    def landmarks(self, inputs: Any) -> Landmarks:
        """Episodes, steps and rewards of the same positions."""
        ...


@runtime_checkable
class OfAnAgent(Protocol):
    """Inputs that are an agent's: beside them, a name is that of an agent."""

    def agent_named(self, path: str | Path) -> AttentionSource:
        """The agent of that name or folder."""
        ...


def profile_attention(
    model: "LanguageModel | PreTrainedModel | AttentionSource | nn.Module | str | Path",
    inputs: Any,
    *,
    layers: Indices = None,
    heads: Indices = None,
    queries: Queries = "all",
    keep_map: KeepMap | HasKeepMap | None = None,
    n_sink: int = 4,
    window: int = 128,
    seed: int = 0,
    hold: bool = True,
    progress: Progress | None = None,
) -> AttentionProfile:
    """Exact statistics of what a model attends to in one context, in one forward pass and O(N) memory.

    >>> import keepmap
    >>> profile = keepmap.profile_attention("tiny", "The code of river is 4821. " * 9)
    >>> layers, heads, n = profile.shape
    >>> (layers, heads), profile.received.shape == (layers, heads, n)
    ((2, 4), True)

    Args:
        model: a language model (ours, any Hugging Face causal one, a folder, a hub id, a GGUF file, "tiny"), an agent,
            or a module whose attention is nn.MultiheadAttention or that of a body of transformers in it (GPT2Model). It
            is left as it was found. Beside a Context, a folder or name is that of an agent.
        inputs: for a language model a string, the tokens of one text, or what its tokenizer gives; for an agent its
            history of one row, or (history, query_states [1, S]); for a module what it is called with, one sequence at
            a time. Padding is left out.
        layers, heads: which ones, all by default. The pass ends after the last of these layers.
        queries: which rows are measured: "all", "last", a number of rows to sample, or positions.
        keep_map: profile the model as it is under this eviction: what `evict` gave for the same text, or its KeepMap.
        n_sink, window: what the profile counts as sinks and as window.
        seed: of the sample.
        hold: keep the queries and keys, [L, H + KV heads, N, D] numbers, for `map` and `mass`.
        progress: told the share of the work that is done.

    Raises:
        InputError: a layer, head or query that is not there, an empty text or a single token, an option out of range.
        ModelError: the model has no attention that can be read, or it is NaN.
    """
    n_sink, window = as_integer("n_sink", n_sink), as_integer("window", window, at_least=1)
    seed, progress = as_integer("seed", seed), as_function("progress", progress)
    transformers = sys.modules.get("transformers")
    if isinstance(model, str | Path) and isinstance(inputs, OfAnAgent):
        model = inputs.agent_named(model)
    if isinstance(model, str | Path) or (transformers is not None and _predicts_tokens(model)):
        model = as_language_model(model)
    request = _Request(layers, heads, queries, n_sink, window, seed, hold, progress)
    if isinstance(model, LanguageModel):
        return _of_text(model, inputs, keep_map, request)
    if keep_map is not None:
        raise InputError("`keep_map` is for language models; shorten an agent's history by its compressor instead")
    if isinstance(model, AttentionSource):
        name = str(getattr(model, "name", type(model).__name__))
        landmarks = model.landmarks(inputs) if isinstance(model, KnowsLandmarks) else None
        return _of_layers(list(model.attention_layers(inputs)), name, request, landmarks)
    if isinstance(model, nn.Module):
        if transformers is not None and has_body(model):
            return _of_layers(body_layers(model, inputs, _layer_of, _attend_fully), type(model).__name__, request)
        return _of_layers(encoder_layers(model, inputs), type(model).__name__, request)
    raise InputError(f"expected `model` to be a language model, an agent or an nn.Module, got {kind_of(model)}")


@dataclass(frozen=True, eq=False, kw_only=True)
class StrongestAttention:
    """What one layer of a model attends to most, at P positions.

    Attributes:
        hidden_states: [P, hidden], the layer's attention inputs. values: [G, P, Dv].
        weight: [H, P], the largest attention of any query that was looked at, each divided by the length of that
            query's attention input.
    """

    hidden_states: Float[Tensor, "P hidden"]
    values: Float[Tensor, "G P Dv"]
    weight: Float[Tensor, "H P"]


def strongest_attention(
    language_model: LanguageModel, tokens: Int[Tensor, " N"], queries: range, positions: range
) -> tuple[StrongestAttention, ...]:
    """Of each layer, the strongest attention that `queries` pay to each of `positions`, in one pass and O(N) memory.

    >>> import torch
    >>> from keepmap.language_model import load_language_model
    >>> layers = strongest_attention(load_language_model("tiny"), torch.arange(9), range(5, 9), range(4))
    >>> len(layers), layers[0].weight.shape
    (2, torch.Size([4, 4]))

    Raises:
        ModelError: the model's attention cannot be read.
    """
    check_forward(language_model, _attend_fully)
    layers: dict[int, StrongestAttention] = {}

    def attend_and_look(call: LayerCall) -> Tensor:
        layer = _layer_of(call)
        lengths = torch.linalg.vector_norm(call.hidden_states.to(layer.dtype), dim=-1)
        weight = lengths.new_zeros(layer.n_heads, len(positions))

        def look(block: WeightBlock) -> None:
            first, last = max(positions.start, block.inside.start), min(positions.stop, block.inside.stop)
            rows = (block.rows >= queries.start) & (block.rows < queries.stop)
            if first < last and bool(rows.any()):
                seen = block.weights()[:, rows, first - block.inside.start : last - block.inside.start]
                most = (seen / lengths[block.rows[rows], None]).amax(dim=1)
                held = weight[block.heads, first - positions.start : last - positions.start]
                torch.maximum(held, most, out=held)

        out = attend(layer, call.values, look=look)
        here = slice(positions.start, positions.stop)
        layers[call.layer] = StrongestAttention(
            hidden_states=call.hidden_states[here], values=call.values[:, here], weight=weight
        )
        return out

    run(language_model.model, language_model.body, tokens, attend_and_look)
    return tuple(layers[index] for index in sorted(layers))


class _Enough(Exception):
    """Ends the pass: every requested layer is measured."""


class _Request:
    """Which layers, heads and queries to measure, and the statistics of the layers that are measured so far."""

    def __init__(
        self,
        layers: Indices,
        heads: Indices,
        queries: Queries,
        n_sink: int,
        window: int,
        seed: int,
        hold: bool,
        progress: Progress | None,
    ) -> None:
        self._layers, self._heads, self._queries = layers, heads, queries
        self.n_sink, self.window, self._seed, self._hold, self._progress = n_sink, window, seed, hold, progress
        self.done: dict[int, tuple[LayerStatistics, AttentionLayer]] = {}

    def settle(self, n: int, n_layers: int, n_heads: int) -> None:
        """Resolve the request against a context of `n` positions and a model of these sizes.

        Raises:
            InputError: a layer, head or query that is not there.
        """
        require_some_context(n)
        self.layers = indices("layer", self._layers, n_layers)
        self.heads = indices("head", self._heads, n_heads)
        self.rows: Rows = rows(self._queries, n, self._seed)
        self.n, self.n_heads, self.n_layers = n, n_heads, n_layers

    @property
    def whole(self) -> bool:
        """Whether all heads and all queries are measured."""
        return len(self.heads) == self.n_heads and len(self.rows.measured) == self.n

    def measure(self, layer: AttentionLayer, values: Tensor | None = None) -> Tensor | None:
        """One layer's statistics; its output too, where values are given."""
        if len(self.heads) != self.n_heads:
            layer = layer.with_heads(torch.tensor(self.heads, device=layer.queries.device))
        statistics, out = layer_statistics(
            layer,
            self.rows.measured,
            self.rows.kept,
            n_sink=self.n_sink,
            window=self.window,
            values=values,
            progress=self._share(len(self.done)),
        )
        self.done[layer.layer] = (statistics, layer)
        return out

    def _share(self, done: int) -> Progress | None:
        if self._progress is None:
            return None
        return part_of(self._progress, done, len(self.layers))

    def profile(
        self,
        group: int,
        info: dict[str, object],
        labels: tuple[str, ...] | None = None,
        landmarks: Landmarks | None = None,
    ) -> AttentionProfile:
        """The profile of the requested layers."""
        measured = [self.done[layer] for layer in self.layers]
        stacked = {
            field.name: torch.stack([getattr(part, field.name) for part, _ in measured])
            for field in fields(LayerStatistics)
        }
        return AttentionProfile(
            **stacked,
            queries=self.rows.kept,
            measured=self.rows.measured,
            layers=self.layers,
            heads=self.heads,
            kv_heads=tuple(head // group for head in self.heads),
            n_sink=self.n_sink,
            window=self.window,
            info=info | {"measured": self.rows.scope, "n_layers": self.n_layers, "n_heads": self.n_heads},
            labels=labels,
            landmarks=landmarks,
            captured=tuple(layer for _, layer in measured) if self._hold else None,
        )


def _of_layers(
    layers: list[AttentionLayer], name: str, request: _Request, landmarks: Landmarks | None = None
) -> AttentionProfile:
    shapes = {(layer.n, layer.n_heads, layer.n_kv_heads) for layer in layers}
    if not layers:
        raise ModelError(f"nothing was captured: {name} has no attention")
    if len(shapes) != 1:
        raise ModelError(f"{name} is not supported: its layers differ in positions or heads")
    first = layers[0]
    request.settle(first.n, len(layers), first.n_heads)
    for index in request.layers:
        request.measure(layers[index])
    labels = None if landmarks is None else landmarks.labels
    return request.profile(first.group, {"model": name}, labels, landmarks)


def _of_text(
    language_model: LanguageModel, inputs: Any, keep_map: KeepMap | HasKeepMap | None, request: _Request
) -> AttentionProfile:
    tokens = as_tokens(language_model, inputs)
    shape = (language_model.n_layers, language_model.n_kv_heads, len(tokens))
    request.settle(len(tokens), language_model.n_layers, language_model.n_heads)
    if isinstance(keep_map, HasKeepMap):
        keep_map = keep_map.keep_map
    if keep_map is not None and not isinstance(keep_map, KeepMap):
        raise InputError(f"expected `keep_map` to be a KeepMap or an Eviction, got {kind_of(keep_map)}")
    if keep_map is not None and keep_map.shape != shape:
        raise InputError(
            f"expected `keep_map` to be of the shape {shape}, got {keep_map.shape}; make it by keepmap.evict from the "
            "same text"
        )
    check_forward(language_model, _attend_fully)

    def attend_and_measure(call: LayerCall) -> Tensor:
        layer = _layer_of(call)
        if keep_map is not None:
            layer = replace(layer, expires=keep_map.expires[call.layer].to(call.keys.device))
        if call.layer not in request.layers:
            return attend(layer, call.values)
        last = len(request.done) + 1 == len(request.layers)
        out = request.measure(layer, None if last or not request.whole else call.values)
        if last:
            raise _Enough
        return attend(layer, call.values) if out is None else out

    with suppress(_Enough):
        run(language_model.model, language_model.body, tokens, attend_and_measure)
    info: dict[str, object] = {"model": language_model.name}
    if keep_map is not None:
        info["evicted_by"] = keep_map.info.get("method", "a KeepMap")
    group = language_model.n_heads // language_model.n_kv_heads
    return request.profile(group, info, _labels(language_model, tokens))


def _predicts_tokens(model: object) -> bool:
    from transformers import PreTrainedModel

    return isinstance(model, PreTrainedModel) and model.get_output_embeddings() is not None


def _layer_of(call: LayerCall) -> AttentionLayer:
    until = torch.arange(1, call.queries.shape[1] + 1, device=call.queries.device)
    return AttentionLayer(
        layer=call.layer,
        queries=call.queries,
        keys=call.keys,
        scaling=call.scaling,
        sees_from=call.sees_from,
        sees_until=until,
        softcap=call.softcap,
        sinks=call.sinks,
    )


def _attend_fully(call: LayerCall) -> Tensor:
    return attend(_layer_of(call), call.values)


def _labels(language_model: LanguageModel, tokens: Int[Tensor, " N"]) -> tuple[str, ...] | None:
    if language_model.tokenizer is None:
        return None
    texts = {token: language_model.tokenizer.decode([token]) for token in set(tokens.tolist())}
    return tuple(texts[token] for token in tokens.tolist())
