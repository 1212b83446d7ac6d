"""Attention that a score may look at although it has not been paid yet: what oracles know.

It is that of one layer, by its queries and keys as they are, if nothing is dropped there.

G KV head · R query heads of a group · N positions · B queries of a block.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from keepmap.kv.given import HeldInput
from keepmap.kv.passes import LayerCall

__all__ = ["Ahead", "strongest"]

_ROWS = 128
"""Queries of a block."""
_UNIT = 2.0**-40
"""Attention is summed in integers of so much: what is left when some is taken off is exact, and nothing is nothing."""


class Ahead:
    """What the queries after each step pay to each position, in sum; in O(N) memory, as steps go forward."""

    def __init__(self, call: LayerCall) -> None:
        self._call, self._n = call, call.keys.shape[1]
        self._left = torch.zeros(call.keys.shape[0], self._n, dtype=torch.int64, device=call.keys.device)
        for first in range(0, self._n, _ROWS):
            rows = self._rows(first)
            self._left[:, : rows.shape[2]] += rows.sum(dim=1)
        self._start, self._paid = 0, self._rows(0).cumsum(dim=1)

    def after(self, step: int) -> Float[Tensor, "G N"]:
        """By the queries after `step`, which does not lie before that of the last call."""
        while step >= self._start + self._paid.shape[1]:
            self._go_on()
        paid, left = self._paid[:, step - self._start], self._left.clone()
        left[:, : paid.shape[1]] -= paid
        return left.double() * _UNIT

    def _go_on(self) -> None:
        """To the next block of queries: those of this one have paid."""
        paid = self._paid[:, -1]
        self._left[:, : paid.shape[1]] -= paid
        self._start += self._paid.shape[1]
        self._paid = self._rows(self._start).cumsum(dim=1)

    def _rows(self, first: int) -> Int64[Tensor, "G B K"]:
        """What each query of a block pays, the mean over the group, in units."""
        paid = _attention(self._call, first, min(first + _ROWS, self._n)).mean(dim=1)
        return (paid.double() / _UNIT).round().long()


def strongest(call: LayerCall, queries: range, positions: range) -> Float[Tensor, "G n"]:
    """The most that any of some queries, in any head of the group, pays to each of some positions."""
    heads = call.keys.shape[0]
    most = call.keys.new_zeros(heads, len(positions), dtype=torch.promote_types(call.keys.dtype, torch.float32))
    for first in range(queries.start, queries.stop, _ROWS):
        paid = _attention(call, first, min(first + _ROWS, queries.stop))[..., positions.start : positions.stop]
        most = torch.maximum(most, paid.amax(dim=(1, 2)))
    return most


def _attention(call: LayerCall, first: int, stop: int) -> Float[Tensor, "G R B K"]:
    """What the queries first..stop-1 pay to the positions up to the last of them."""
    heads = call.keys.shape[0]
    held = HeldInput(
        layer=call.layer,
        step=stop - 1,
        positions=torch.arange(stop, device=call.keys.device).expand(heads, -1),
        keys=call.keys[:, :stop],
        values=call.values[:, :stop],
        queries=call.queries[:, first:stop],
        sees_from=call.sees_from[first:stop],
        scaling=call.scaling,
        softcap=call.softcap,
        sinks=call.sinks,
    )
    return held.attention.unflatten(0, (heads, -1))
