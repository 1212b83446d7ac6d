"""Decoding with eviction, token by token, in obvious code: the truth that the engine has to equal.

The whole cache is kept, and what has been evicted is masked, per layer and KV head. A chunk's queries are processed
together, and the rule is applied after each chunk.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PreTrainedModel
from transformers.masking_utils import eager_mask

from tests.reference.budgets import gone
from tests.reference.rules import Rule
from tests.reference.scores import Score, Seen

__all__ = ["Decoded", "decode", "recording", "seen_by"]

NAME = "keepmap_reference"


@dataclass(frozen=True)
class Decoded:
    """logits [N, vocabulary]; expires, held, scores [L, G, N] as in a KeepMap (scores in float64); attention
    [L, H, N, N], of each query when it was processed."""

    logits: Tensor
    expires: Tensor
    held: Tensor
    scores: Tensor
    attention: Tensor


@dataclass
class _Layer:
    """What one layer computed, and which of its entries are alive."""

    hidden: Tensor  # [T, hidden]
    queries: Tensor  # [H, T, D]
    keys: Tensor  # [G, T, D]
    values: Tensor  # [G, T, D]
    attention: Tensor  # [H, N, N]
    alive: Tensor  # [G, N]
    scaling: float
    cache: dict[object, object]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_ignored: object,
) -> tuple[Tensor, Tensor]:
    """Eager attention, with the softmax in the model's precision; the recorder of this pass adds its mask."""
    recorder = _recorders[-1]
    group = query.shape[1] // key.shape[1]
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    logits = query @ key.repeat_interleave(group, 1).transpose(2, 3) * scaling
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    alive = recorder.alive(module.layer_idx, key.shape[1], key.shape[2]).repeat_interleave(group, 0)
    seen = (attention_mask == 0) & alive[None, :, None]
    logits = logits.masked_fill(~seen, float("-inf"))
    if s_aux is not None:  # a learned sink per query head takes its share of the attention and gives nothing
        sink = s_aux.to(logits.dtype).reshape(1, -1, 1, 1).expand(-1, -1, logits.shape[2], -1)
        logits = torch.cat([logits, sink], -1)
    weights = torch.softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32)).to(query.dtype)
    weights = weights[..., : key.shape[2]]
    recorder.record(module.layer_idx, query[0], key[0], value[0], weights[0], scaling)
    output = weights @ value.repeat_interleave(group, 1)
    return output.transpose(1, 2).contiguous(), weights


class _Recorder:
    """Everything that the layers computed in one pass over N positions."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.layers: dict[int, _Layer] = {}
        self.inputs: dict[int, list[Tensor]] = {}

    def alive(self, layer: int, kv_heads: int, length: int) -> Tensor:
        """Bool [G, length]: the entries of this layer that have not been evicted."""
        if layer not in self.layers:
            return torch.ones(kv_heads, length, dtype=torch.bool)
        return self.layers[layer].alive[:, :length]

    def record(self, layer: int, query: Tensor, key: Tensor, value: Tensor, weights: Tensor, scaling: float) -> None:
        heads, kv_heads, n = query.shape[0], key.shape[0], self.n
        hidden = torch.cat(self.inputs[layer])
        if layer not in self.layers:
            attention = torch.zeros(heads, n, n, dtype=query.dtype)
            alive = torch.ones(kv_heads, n, dtype=torch.bool)
            self.layers[layer] = _Layer(hidden, query, key, value, attention, alive, scaling, {})
        else:
            at = self.layers[layer]
            at.hidden, at.queries, at.keys, at.values = hidden, torch.cat([at.queries, query], 1), key, value
        end = key.shape[1]
        self.layers[layer].attention[:, end - query.shape[1] : end, :end] = weights


_recorders: list[_Recorder] = []


@contextmanager
def recording(model: PreTrainedModel, n: int) -> Iterator[_Recorder]:
    """Let the model attend through `attend`, and put everything back."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    recorder = _Recorder(n)

    def remember(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        recorder.inputs.setdefault(module.layer_idx, []).append(hidden[0])

    hooks = [m.register_forward_pre_hook(remember, with_kwargs=True) for m in _attentions(model).values()]
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    _recorders.append(recorder)
    try:
        yield recorder
    finally:
        _recorders.pop()
        model.set_attn_implementation(before)
        for hook in hooks:
            hook.remove()


def _attentions(model: PreTrainedModel) -> dict[int, nn.Module]:
    results = [m for m in model.modules() if type(m).__name__.endswith("Attention") and hasattr(m, "layer_idx")]
    return {m.layer_idx: m for m in results}


@torch.no_grad()
def decode(
    model: PreTrainedModel,
    input_ids: Tensor,
    score: Score,
    rule: Rule,
    chunk_size: int,
    growing: bool,
    interval: int = 1,
) -> Decoded:
    """Decode input_ids [N] in chunks, and evict by the rule after each; or one by one, after every `interval` alone."""
    n = len(input_ids)
    cache = DynamicCache()  # without the config: every layer keeps everything, its own window is a mask
    logits = []
    with recording(model, n) as recorder:
        for start in range(0, n, chunk_size):
            end = min(start + chunk_size, n)
            chunk = {"input_ids": input_ids[None, start:end], "position_ids": torch.arange(start, end)[None]}
            logits.append(model(**chunk, past_key_values=cache, use_cache=True).logits[0])
            if start == 0:
                shape = (len(recorder.layers), recorder.layers[0].alive.shape[0], n)
                expires = torch.full(shape, n)
                scores = torch.zeros(shape, dtype=torch.float64)
            decides = end % interval == 0
            if not decides and end < n:
                continue
            start = min(start, (end - 1) // interval * interval)  # since the last decision
            for index, layer in recorder.layers.items():
                seen = seen_by(model, index, layer, end - 1, rule.n_sink)
                for head in range(shape[1]):
                    known = scores[index, head]
                    for j in _to_score(layer.alive[head], rule, start, end, n, growing):
                        known[j] = score(seen, head, j)
                if not decides:
                    continue
                for head, j in gone(scores[index], layer.alive, rule, start, end, index, shape[0]):
                    layer.alive[head, j] = False
                    expires[index, head, j] = end  # n after the last chunk: every query saw it
    held = torch.stack([recorder.layers[index].alive for index in range(shape[0])])
    attention = torch.stack([recorder.layers[index].attention for index in range(shape[0])])
    return Decoded(torch.cat(logits), expires, held, scores, attention)


def _to_score(alive: Tensor, rule: Rule, start: int, end: int, n: int, growing: bool) -> list[int]:
    """The positions of one head whose score is taken after a chunk of the queries start..end-1.

    A fixed score is taken as its position leaves the window (sinks too), or else at the end of the text. A growing
    score is taken whenever it may decide, and for what is held and protected at the end of the text.
    """
    positions = []
    for j in range(end):
        leaves = start <= j + rule.window < end
        in_window = j + rule.window >= end
        if growing:
            may_decide = leaves or (rule.threshold is None and j >= rule.n_sink and not in_window)
            wanted = bool(alive[j]) and (may_decide or (end == n and (in_window or j < rule.n_sink)))
        else:
            wanted = leaves or (in_window and end == n)
        if wanted:
            positions.append(j)
    return positions


def seen_by(model: PreTrainedModel, index: int, layer: _Layer, step: int, n_sink: int) -> Seen:
    return Seen(
        layer=index,
        step=step,
        hidden=layer.hidden,
        queries=layer.queries,
        keys=layer.keys,
        values=layer.values,
        attention=layer.attention[:, : step + 1, : step + 1],
        alive=layer.alive[:, : step + 1],
        scaling=layer.scaling,
        n_sink=n_sink,
        rotations=_rotations(model, index, layer.keys),
        added=_added(model, index, layer.queries.shape[0]),
        cache=layer.cache,
    )


def _added(model: PreTrainedModel, index: int, heads: int) -> Callable[[int, Tensor], Tensor]:
    """(query head, its output) -> what that alone adds to the layer's: a projection is linear but for its bias."""
    attention = _attentions(model)[index]
    project = next(getattr(attention, name) for name in ("o_proj", "c_proj", "dense") if hasattr(attention, name))

    def added(head: int, output: Tensor) -> Tensor:
        all_heads = torch.zeros(heads, len(output), dtype=output.dtype)
        nothing = project(all_heads.flatten())
        all_heads[head] = output
        return project(all_heads.flatten()) - nothing

    return added


def _rotations(model: PreTrainedModel, index: int, like: Tensor) -> Callable[[range], Tensor] | None:
    """Positions -> [len, D, D]: what the family's own code does to the unit vectors at these positions."""
    embedding = getattr(model.base_model, "rotary_emb", None)
    if embedding is None:
        return None
    apply = sys.modules[type(_attentions(model)[index]).__module__].apply_rotary_pos_emb
    per_type = "layer_type" in inspect.signature(embedding.forward).parameters
    which = (model.config.layer_types[index],) if per_type else ()
    size = like.shape[-1]

    def rotations(positions: range) -> Tensor:
        cos, sin = embedding(like, torch.tensor(positions)[None], *which)
        units = torch.eye(size, dtype=like.dtype).expand(len(positions), 1, size, size)
        turned, _ = apply(units, units, cos.transpose(0, 1), sin.transpose(0, 1))
        return turned[:, 0].double()

    return rotations
