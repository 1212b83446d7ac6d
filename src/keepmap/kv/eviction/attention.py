"""The exact evicting attention of one layer: blocks of queries against the keys that are still alive.

H query head · G KV head · R = H / G · N positions · D head dimension · B queries in a block · K keys of a block.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.kv.eviction.products import product_by_head

__all__ = ["attend_block", "evicting_attention", "probabilities", "visible"]

_BLOCK = {"cpu": 256, "cuda": 1024}
_ROWS = 768
"""Rows of a product on a CPU, a block's queries in each head of the group: more of them gain nothing there, and a block
computes half of its own keys, and what expires in it, for nothing."""
_SMALLEST = 64
_STRETCH = 4
"""Full blocks after which the long-lived keys are packed anew: fewer copies against a longer tail."""
_RAGGED = 1.25
"""Heads are computed one by one where padding them to the longest would cost more than this."""


def evicting_attention(
    queries: Float[Tensor, "H Q D"],
    keys: Float[Tensor, "G K D"],
    values: Float[Tensor, "G K Dv"],
    expires: Int[Tensor, "G N"],
    sees_from: Int[Tensor, " N"],
    *,
    scaling: float,
    softcap: float | None = None,
    sinks: Float[Tensor, " H"] | None = None,
    block: int | None = None,
    rows: Int[Tensor, "G N"] | None = None,
) -> Float[Tensor, "H Q Dv"]:
    """Attention in which query i sees position j of KV head g iff sees_from[i] <= j <= i < expires[g, j].

    The queries are the last Q of the N positions: all of them, or those that are new in a cache. There `rows` says in
    which row of `keys` and `values` a position is; by default in that of its number.

    O(N) memory: at any time the scores of one block of queries against the keys alive at its start, packed.
    """
    heads, n = expires.shape
    new = n - queries.shape[1]
    group = queries.shape[0] // heads
    longest = block or _BLOCK.get(queries.device.type, 128)
    length = _STRETCH * longest
    step = longest if queries.device.type != "cpu" else min(longest, max(_SMALLEST, _ROWS // group))
    out = queries.new_empty(queries.shape[0], n - new, values.shape[2])
    grouped = queries.view(heads, group, n - new, -1)
    grouped_out = out.view(heads, group, n - new, -1)
    grouped_sinks = None if sinks is None else sinks.view(heads, group)
    for start in range(new, n, length):
        stretch = range(start, min(start + length, n))
        for members in _alike(expires, int(sees_from[start]), stretch):
            packed = _Packed(keys, values, expires, members, sees_from, stretch, rows)
            for first in range(start, stretch.stop, step):
                last = min(first + step, stretch.stop)
                block_keys, block_values, bias = packed.block(first, last, sees_from[first:last])
                result = attend_block(
                    grouped[members, :, first - new : last - new],
                    block_keys,
                    block_values,
                    bias,
                    scaling,
                    softcap,
                    None if grouped_sinks is None else grouped_sinks[members],
                )
                grouped_out[members, :, first - new : last - new] = result
    return out


def visible(
    positions: Int[Tensor, "*G #B K"],
    expires: Int[Tensor, "*G #B K"],
    queries: Int[Tensor, "B 1"],
    sees_from: Int[Tensor, "B 1"] | None,
) -> Bool[Tensor, "*G B K"]:
    """The contract: which of the keys at `positions` the queries see."""
    seen = (positions <= queries) & (queries < expires)
    return seen if sees_from is None else seen & (positions >= sees_from)


def probabilities(
    scores: Float[Tensor, "*batch B K"],
    sinks: Float[Tensor, "*batch 1 1"] | None,
    out: Float[Tensor, "*batch B K"] | None = None,
) -> Float[Tensor, "*batch B K"]:
    """Softmax over the keys, and over a learned sink that takes its share and gives no value; `out` may be `scores`."""
    if sinks is None:
        return torch.softmax(scores, dim=-1, out=out)
    most = torch.maximum(scores.amax(dim=-1, keepdim=True), sinks)
    weights = torch.sub(scores, most, out=out).exp_()
    return weights.div_(weights.sum(dim=-1, keepdim=True) + (sinks - most).exp())


class _Packed:
    """The keys of some KV heads for a stretch of queries: the long-lived ones once, the others block by block.

    Steady entries are seen by every query of the stretch, and need no mask. All heads hold the same number of them;
    what a head has in excess joins its tail.
    """

    def __init__(
        self,
        keys: Float[Tensor, "G K D"],
        values: Float[Tensor, "G K Dv"],
        expires: Int[Tensor, "G N"],
        members: slice,
        sees_from: Int[Tensor, " N"],
        stretch: range,
        rows: Int[Tensor, "G N"] | None,
    ) -> None:
        self.keys, self.values = keys[members], values[members]
        self.rows = None if rows is None else rows[members]
        oldest = int(sees_from[stretch.start])
        position = torch.arange(oldest, stretch.stop, device=keys.device)
        expires = expires[members, oldest : stretch.stop]
        # Where a window of the model's own has begun to slide by the last query, all is left to the masks.
        slides = int(sees_from[stretch.stop - 1]) > 0
        steady = (expires >= stretch.stop) & (position < (0 if slides else stretch.start))
        self.n_steady = int(steady.sum(dim=1).min())
        tail = (expires > stretch.start) & ~(steady & (steady.cumsum(dim=1) <= self.n_steady))
        at, _ = _flush_left(tail)
        self.positions = position[at]
        # Padding: a head with a shorter tail repeats entries that it does not want, as expired.
        self.expires = torch.where(tail.gather(1, at), expires.gather(1, at), -1)
        room = self.n_steady + at.shape[1]
        self.key_room = keys.new_empty(self.keys.shape[0], room, keys.shape[2])
        self.value_room = values.new_empty(self.keys.shape[0], room, values.shape[2])
        self._gather(_flush_left(steady)[0][:, : self.n_steady], 0)

    def _gather(self, at: Int[Tensor, "heads K"], offset: int) -> None:
        width = at.shape[1]
        if self.rows is not None:
            at = self.rows.gather(1, at)
        for head in range(at.shape[0]):
            torch.index_select(self.keys[head], 0, at[head], out=self.key_room[head, offset : offset + width])
            torch.index_select(self.values[head], 0, at[head], out=self.value_room[head, offset : offset + width])

    def block(
        self, first: int, last: int, sees_from: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "heads K D"], Float[Tensor, "heads K Dv"], Float[Tensor, "heads B tail"]]:
        """Keys and values of a block of queries; 0 where a query sees a key of their tail, else minus infinity."""
        wanted = (self.expires > first) & (self.positions < last) & (self.positions >= sees_from[0])
        at, width = _flush_left(wanted)
        positions = self.positions.gather(1, at)
        expires = torch.where(wanted.gather(1, at), self.expires.gather(1, at), -1)
        self._gather(positions, self.n_steady)
        # The keys of the block itself stand last: only there may a key be ahead of a query.
        own = int((wanted & (self.positions < first)).sum(dim=1).min())
        # Where no query is barred from position 0, none is barred at all.
        bar = sees_from if int(sees_from[-1]) else None
        end = self.n_steady + width
        return self.key_room[:, :end], self.value_room[:, :end], _bias(positions, expires, first, last, own, bar)


def _bias(
    positions: Int[Tensor, "heads tail"],
    expires: Int[Tensor, "heads tail"],
    first: int,
    last: int,
    own: int,
    sees_from: Int[Tensor, " B"] | None,
) -> Float[Tensor, "heads B tail"]:
    """`visible` of the queries first..last-1 as what is added to a score, 0 or minus infinity.

    A query sees a key where the smallest of the differences is positive. To subtract, and to add the result to the
    scores, takes a third of the time that comparing and filling do; differences from `first` are exact in float32.
    """
    rows = torch.arange(last - first, device=positions.device, dtype=torch.float32)[:, None]
    at = (positions - first).float()[:, None]
    seen = (expires - first).float()[:, None] - rows
    torch.minimum(seen[..., own:], rows + 1 - at[..., own:], out=seen[..., own:])
    if sees_from is not None:
        torch.minimum(seen, at + 1 - (sees_from - first).float()[:, None], out=seen)
    return torch.nn.functional.threshold(seen, 0.0, -math.inf, inplace=True).clamp_(max=0.0)


def _flush_left(wanted: Bool[Tensor, "heads K"]) -> tuple[Int[Tensor, "heads W"], int]:
    """Column numbers of what is wanted, in order, in as many columns as the fullest head needs."""
    width = int(wanted.sum(dim=1).max())
    return torch.argsort((~wanted).to(torch.uint8), dim=1, stable=True)[:, :width], width


def _alike(expires: Int[Tensor, "G N"], oldest: int, stretch: range) -> list[slice]:
    """All heads at once, or one by one where their numbers of alive keys differ much."""
    alive = (expires[:, oldest : stretch.stop] > stretch.start).sum(dim=1).double()
    if float(alive.max()) <= _RAGGED * float(alive.mean()):
        return [slice(0, expires.shape[0])]
    return [slice(head, head + 1) for head in range(expires.shape[0])]


def attend_block(
    queries: Float[Tensor, "heads R B D"],
    keys: Float[Tensor, "heads K D"],
    values: Float[Tensor, "heads K Dv"],
    bias: Float[Tensor, "heads B tail"],
    scaling: float,
    softcap: float | None,
    sinks: Float[Tensor, "heads R"] | None,
) -> Float[Tensor, "heads R B Dv"]:
    """One block; `bias`, 0 or minus infinity, is of its last keys, and the others are seen by every query.

    Plain products in float32 and float64 on the CPU (faster than the fused kernel there, and open to
    caps and sinks); the fused kernel, whose sums are float32 inside, for half precision and on CUDA.
    """
    heads, group, length, dim = queries.shape
    steady = keys.shape[1] - bias.shape[2]
    plain = softcap is not None or sinks is not None or (queries.device.type == "cpu" and queries.element_size() >= 4)
    if not plain:
        full = torch.ones(heads, 1, length, keys.shape[1], dtype=torch.bool, device=queries.device)
        full[:, 0, :, steady:] = bias == 0
        shape = (heads, group, *keys.shape[1:])
        return torch.nn.functional.scaled_dot_product_attention(
            queries,
            keys[:, None].expand(shape),
            values[:, None].expand(heads, group, *values.shape[1:]),
            attn_mask=full,
            scale=scaling,
        )
    wide = torch.promote_types(queries.dtype, torch.float32)
    rows = (queries.to(wide) * scaling).reshape(heads, group * length, dim)
    result = rows.new_empty(heads, group * length, values.shape[2])
    # On a CPU one head at a time, in the same room: scores of all heads would leave its cache between two uses.
    some = 1 if queries.device.type == "cpu" else heads
    room = rows.new_empty(some, group * length, keys.shape[1])
    for first in range(0, heads, some):
        head = slice(first, first + some)
        product_by_head(rows[head], keys[head].to(wide).transpose(1, 2), room)
        if softcap is not None:
            room.div_(softcap).tanh_().mul_(softcap)
        scores = room.view(some, group, length, -1)
        scores[..., steady:].add_(bias[head, None])
        weights = probabilities(scores, None if sinks is None else sinks[head].to(wide)[:, :, None, None], out=scores)
        product_by_head(weights.view(some, group * length, -1), values[head].to(wide), result[head])
    return result.view(heads, group, length, -1).to(values.dtype)
