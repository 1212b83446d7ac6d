"""Decoding with eviction as in `decode`, of several runs at once: each row of the batch is a run with its own mask.

For models whose single step is dear. What a row evicts is decided by its own scores, or replayed from `expires`, in
which case its own decisions are compared with the replayed ones.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PreTrainedModel
from transformers.masking_utils import eager_mask

from tests.reference.rules import Rule
from tests.reference.scores import draws

__all__ = ["Row", "Rows", "decode_rows"]

NAME = "keepmap_rows"


@dataclass(frozen=True)
class Row:
    """One run: which score decides (a method's name; None: nothing is compared), by which rule, and what is replayed.

    Attributes:
        expires: [L, G, N]; None where the row decides for itself.
        context_length: where it is decided once, after so many tokens.
    """

    method: str | None
    rule: Rule
    expires: Tensor | None = None
    seed: int = 0
    context_length: int | None = None


@dataclass(frozen=True)
class Rows:
    """expires [B, L, G, N]; of each row, how many of its own decisions were not the replayed ones, and the largest
    relative gap between the scores of two entries that were exchanged."""

    expires: Tensor
    differ: list[int]
    gap: list[float]


class _State:
    """What is alive in each row, and what it has received."""

    def __init__(self, rows: Sequence[Row], layers: int, kv_heads: int, n: int) -> None:
        self.rows, self.n = rows, n
        shape = (layers, len(rows), kv_heads, n)
        self.alive = torch.ones(shape, dtype=torch.bool)
        self.expires = torch.full(shape, n)
        self.received = torch.zeros(shape, dtype=torch.float64)
        self.norms = torch.zeros(shape, dtype=torch.float64)
        self.draws = [draws(layers, kv_heads, n, row.seed) if row.method == "random" else None for row in rows]
        self.differ = [0] * len(rows)
        self.gap = [0.0] * len(rows)

    def see(self, layer: int, key: Tensor, weights: Tensor) -> None:
        """One query's weights [B, G, group, S], and its key [B, G, D]."""
        at = weights.shape[-1] - 1
        self.received[layer, :, :, : at + 1] += weights.double().mean(2)
        self.norms[layer, :, :, at] = key.double().norm(dim=-1)

    def scores(self, row: int, step: int) -> Tensor:
        """[L, G, N] as they stand after query `step`."""
        match self.rows[row].method:
            case "streaming_llm":
                return torch.zeros_like(self.norms[:, row])
            case "random":
                return self.draws[row].double()
            case "key_norm":
                mantissa, exponent = torch.frexp(self.norms[:, row])
                return -torch.ldexp(torch.round(mantissa * 8192) / 8192, exponent)
            case "h2o":
                return self.received[:, row]
            case "observed_attention":
                return self.received[:, row] / (step - torch.arange(self.n) + 1).clamp(min=1)
        raise AssertionError(self.rows[row].method)

    def decide(self, step: int) -> None:
        """Evict after query `step`, in every layer and row."""
        for row, run in enumerate(self.rows):
            own = self._own(row, step) if run.method is not None and step + 1 < self.n else None
            gone = own
            if run.expires is not None:
                gone = run.expires == step + 1
                if own is not None and not torch.equal(own, gone):
                    self._compare(row, step, own, gone)
            if gone is not None and step + 1 < self.n:  # what the last query saw is not evicted for any other
                self.alive[:, row] &= ~gone
                self.expires[:, row][gone] = step + 1

    def _own(self, row: int, step: int) -> Tensor:
        """Bool [L, G, N]: what the row's own scores evict now."""
        rule, alive = self.rows[row].rule, self.alive[:, row]
        gone = torch.zeros_like(alive)
        if self.rows[row].context_length is not None:
            if step + 1 == self.rows[row].context_length:
                for layer, heads in enumerate(self.scores(row, step)):
                    for head, known in enumerate(heads):
                        gone[layer, head, _cut(known, rule, step + 1)] = True
            return gone
        leaves = step - rule.window
        if leaves < rule.n_sink:
            return gone
        scores = self.scores(row, step)
        if rule.threshold is not None:
            gone[..., leaves] = alive[..., leaves] & (scores[..., leaves] < rule.threshold)
            return gone
        candidates = alive.clone()
        candidates[..., : rule.n_sink] = False
        candidates[..., leaves + 1 :] = False
        too_many = candidates.sum(-1) > rule.capacity(leaves - rule.n_sink + 1)
        lowest = scores.masked_fill(~candidates, math.inf).argmin(-1, keepdim=True)  # the first of equals
        return gone.scatter(-1, lowest, too_many[..., None])

    def _compare(self, row: int, step: int, own: Tensor, gone: Tensor) -> None:
        scores, rule = self.scores(row, step), self.rows[row].rule
        for layer, head in (own != gone).any(-1).nonzero().tolist():
            self.differ[row] += 1
            values = scores[layer, head][own[layer, head] ^ gone[layer, head]]
            reference = values.max() if rule.threshold is None else torch.tensor(float(rule.threshold))
            gap = float((values.min() - reference).abs() / reference.abs().clamp(min=1e-30))
            self.gap[row] = max(self.gap[row], gap)


_states: list[_State] = []


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float, **_: object
) -> tuple[Tensor, Tensor]:
    """Eager attention of one query per row, with the softmax in float32 at least."""
    state = _states[-1]
    batch, heads, _, size = query.shape
    kv_heads, length = key.shape[1], key.shape[2]
    grouped = query.view(batch, kv_heads, heads // kv_heads, size)
    logits = grouped @ key.transpose(2, 3) * scaling
    alive = state.alive[module.layer_idx, :, :, None, :length]
    logits = logits.masked_fill(~alive, float("-inf"))
    weights = torch.softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32)).to(query.dtype)
    state.see(module.layer_idx, key[:, :, -1], weights)
    return (weights @ value).reshape(batch, 1, heads, size), weights


@contextmanager
def _attending(model: PreTrainedModel, state: _State) -> Iterator[None]:
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    _states.append(state)
    try:
        yield
    finally:
        _states.pop()
        model.set_attn_implementation(before)


@torch.no_grad()
def decode_rows(
    model: PreTrainedModel, input_ids: Tensor, rows: Sequence[Row], watch: Callable[[int, Tensor], None]
) -> Rows:
    """Decode input_ids [N] one token at a time, once in each row; `watch` sees each step's logits [B, vocabulary]."""
    n, config = len(input_ids), model.config
    state = _State(rows, config.num_hidden_layers, config.num_key_value_heads, n)
    cache = DynamicCache()
    with _attending(model, state):
        for step in range(n):
            token = input_ids[step].expand(len(rows), 1)
            position = torch.full((len(rows), 1), step)
            watch(step, model(token, position_ids=position, past_key_values=cache, use_cache=True).logits[:, 0])
            state.decide(step)
    return Rows(state.expires.transpose(0, 1), state.differ, state.gap)


def _cut(scores: Tensor, rule: Rule, context_length: int) -> list[int]:
    """What one head drops of a context, of its scores [N]."""
    compressible = range(rule.n_sink, context_length - rule.window)
    if rule.threshold is not None:
        return [j for j in compressible if float(scores[j]) < rule.threshold]
    lowest_first = sorted(compressible, key=lambda j: (float(scores[j]), j))
    return lowest_first[: max(0, len(compressible) - rule.capacity(len(compressible)))]
