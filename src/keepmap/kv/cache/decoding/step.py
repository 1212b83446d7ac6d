"""One query against what a layer holds: the step of decoding.

H query head · G KV head · R = H / G · K rows that are held.
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.budgets import Shares
from keepmap.kv.cache.decoding.varlen import attend_slabs, is_fused
from keepmap.kv.cache.held import Held, Terms
from keepmap.kv.choosing import Threshold
from keepmap.kv.eviction.attention import attend_block
from keepmap.kv.eviction.checks import nan_score
from keepmap.kv.method import Received, Reviewed
from keepmap.kv.passes import LayerCall

__all__ = ["step"]


@lru_cache(maxsize=8)
def _no_sinks(heads: int, group: int) -> np.ndarray:
    """What stands in for learned sinks in a model without them; nobody writes to it."""
    return np.full((heads, group), -np.inf)


def step(call: LayerCall, held: Held, terms: Terms, scores: np.ndarray | None) -> Float[Tensor, "H 1 Dv"]:
    """The attention of one new position; what the rule drops after it is dropped."""
    held.slide(int(call.sees_from.item()), terms.method)
    if call.keys.device.type == "cpu" and call.keys.dtype in (torch.float32, torch.float64):
        return _compiled(call, held, terms, scores)
    held.append(call.keys, call.values, scores)
    queries = call.queries.view(held.heads, -1, 1, call.queries.shape[2])
    sinks = None if call.sinks is None else call.sinks.view(held.heads, -1)
    if isinstance(terms.method, Received):
        for heads, keys, _ in held.slabs.parts():
            own_sinks = None if sinks is None else sinks[heads]
            held.columns.scores[heads, : keys.shape[1]] += _received(queries[heads], keys, own_sinks, call)
    output = attend_slabs(call, held.slabs) if is_fused(call) else _attended(call, held, queries, sinks)
    held.decide(terms)
    return output


def _attended(
    call: LayerCall, held: Held, queries: Float[Tensor, "G R 1 D"], sinks: Float[Tensor, "G R"] | None
) -> Float[Tensor, "H 1 Dv"]:
    """The attention by the code that reads texts, too; heads that hold different numbers come one after another."""
    output = call.values.new_empty(held.heads, queries.shape[1], 1, call.values.shape[2])
    for heads, keys, values in held.slabs.parts():
        own_sinks = None if sinks is None else sinks[heads]
        nothing = call.keys.new_zeros(keys.shape[0], 1, 0)
        output[heads] = attend_block(queries[heads], keys, values, nothing, call.scaling, call.softcap, own_sinks)
    return output.view(-1, 1, output.shape[-1])


def _compiled(call: LayerCall, held: Held, terms: Terms, scores: np.ndarray | None) -> Float[Tensor, "H 1 Dv"]:
    """All of it in one piece of compiled code."""
    from keepmap.kv.cache.decoding.kernel import take_query  # compiles at its first call

    slabs, columns, record = held.slabs, held.columns, held.record
    seen, end = held.seen, held.seen + 1
    for rows in (slabs, columns, record):
        rows.reserve(1)
    shape = held.heads, call.queries.shape[0] // held.heads
    method = terms.method
    # What compiled code cannot score or does not see is decided after it.
    is_apart = held.ghosts.width > 0 or isinstance(method, Reviewed) or isinstance(terms.rule, Shares)
    is_apart = is_apart or (isinstance(method, Received) and method.averages is None)
    left, leaving, drops = (0, 0, 0) if is_apart or end % terms.chunk_size else terms.due(end)
    output = call.values.new_empty(*shape, call.values.shape[2])
    is_valid = take_query(
        (call.queries * call.scaling).numpy().reshape(*shape, -1),
        np.ascontiguousarray(call.keys.detach().numpy()[:, 0]),
        np.ascontiguousarray(call.values.detach().numpy()[:, 0]),
        np.zeros(shape[0]) if scores is None else scores[:, 0].copy(),
        _no_sinks(*shape) if call.sinks is None else call.sinks.detach().double().view(shape).numpy(),
        call.softcap or 0.0,
        slabs.keys.numpy(),
        slabs.values.numpy(),
        slabs.starts,
        slabs.counts,
        columns.positions,
        columns.scores,
        *record.rooms,
        seen,
        isinstance(method, Received),
        isinstance(method, Received) and bool(method.averages),
        terms.protection.n_sink,
        left,
        leaving,
        drops,
        terms.rule.threshold if isinstance(terms.rule, Threshold) else -np.inf,
        output.numpy(),
    )
    if not is_valid:
        raise nan_score(method.name, held.layer)
    columns.counts[:] = slabs.counts
    held.seen = end
    if is_apart:
        held.decide(terms)
    elif leaving and drops != 1:
        slabs.shrink()  # one that comes and one that goes leave no room to give back
    return output.view(-1, 1, output.shape[-1])


def _received(
    queries: Float[Tensor, "heads R 1 D"],
    keys: Float[Tensor, "heads K D"],
    sinks: Float[Tensor, "heads R"] | None,
    call: LayerCall,
) -> np.ndarray:
    """The attention that each row receives, the mean over the group: [heads, K]."""
    wide = torch.promote_types(keys.dtype, torch.float32)
    logits = (queries[:, :, 0].to(wide) * call.scaling) @ keys.to(wide).transpose(1, 2)
    if call.softcap is not None:
        logits = call.softcap * torch.tanh(logits / call.softcap)
    most = logits.amax(dim=-1, keepdim=True)
    if sinks is not None:
        most = torch.maximum(most, sinks.to(wide)[..., None])
    weights = (logits - most).exp_().double()
    total = weights.sum(dim=-1, keepdim=True)
    if sinks is not None:
        total = total + (sinks.to(wide)[..., None] - most).exp().double()
    received: np.ndarray = (weights / (total * queries.shape[1])).sum(dim=1).cpu().numpy()
    return received
