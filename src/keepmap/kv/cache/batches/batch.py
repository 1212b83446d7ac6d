"""The texts of a batch: each has a cache of its own, which knows nothing of padding and of the other texts."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from keepmap.kv.cache.batches.layer import BatchLayer
from keepmap.kv.cache.report import CacheReport, Moment
from keepmap.kv.passes import LayerCall, Text

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache

__all__ = ["Batch"]


class Batch:
    """Caches of one text each, padded at the left to one length.

    Attributes:
        rows: the caches. paddings: how many positions of padding each has at its left, so far.
        hidden: how many of the positions that come next are padding, of each row.
        layers: what stands for each layer in the cache that holds them all.
        peak: bytes that all rows together took at most, what they came from among them.
    """

    def __init__(self, rows: Sequence["EvictingCache"], paddings: Sequence[int], seen: int) -> None:
        self.rows, self.paddings, self.hidden = list(rows), list(paddings), [0] * len(rows)
        self.layers = [BatchLayer(layer, self, seen) for layer in range(len(self.rows[0].layers))]
        self._last = len(rows) - 1
        self._moments = [self._moment()] if any(row.moments for row in rows) else []
        self.peak = self.nbytes

    @property
    def nbytes(self) -> int:
        """What all rows take now."""
        return sum(row.bytes() for row in self.rows)

    @property
    def is_whole(self) -> bool:
        """Whether the rows and what stands for the layers have seen the same, each row in all of its layers."""
        seen = [padding + row.get_seq_length() for padding, row in zip(self.paddings, self.rows, strict=True)]
        return {layer.seen for layer in self.layers} == set(seen)

    def texts(self, paddings: Sequence[int], new: int) -> tuple[Text, ...]:
        """The texts of a pass over positions that come next.

        Args:
            paddings: how many positions of padding each row has, up to the end of these.
        """
        seen = self.layers[0].seen
        self.paddings, self.hidden = list(paddings), [max(0, padding - seen) for padding in paddings]
        self._last = max((row for row, hidden in enumerate(self.hidden) if hidden < new), default=-1)
        texts = enumerate(zip(self.paddings, self.hidden, strict=True))
        return tuple(Text(partial(self._attend, row), padding, hidden) for row, (padding, hidden) in texts)

    def reorder(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; one that is named again becomes a row of its own."""
        forks = [self.rows[row].fork() if row in rows[:at] else self.rows[row] for at, row in enumerate(rows)]
        self.paddings = [self.paddings[row] for row in rows]
        self.rows, self.hidden = forks, [0] * len(rows)

    def fork(self) -> "Batch":
        """The same in memory of its own."""
        other = Batch([row.fork() for row in self.rows], self.paddings, self.layers[0].seen)
        other._moments, other.peak = list(self._moments), self.peak
        return other

    def report(self) -> CacheReport:
        """The bytes of all rows together, over time."""
        reports = [row.report() for row in self.rows]
        lengths = [row.get_seq_length() for row in self.rows]
        # Of a row that was cut, what it had then counts; where none was, what they have now.
        counts = [n - each.n_uncut for n, each in zip(lengths, reports, strict=True)]
        if not any(count > each.n_protected for count, each in zip(counts, reports, strict=True)):
            counts = lengths
        waiting = [
            each.n_awaited for n, each in zip(lengths, reports, strict=True) if n + each.n_awaited > each.n_protected
        ]
        return CacheReport(
            moments=tuple(self._moments),
            peak_nbytes=self.peak,
            n_protected=sum(min(count, each.n_protected) for count, each in zip(counts, reports, strict=True)),
            n_rows=len(self.rows),
            n_uncut=sum(each.n_uncut for each in reports),
            n_awaited=min(filter(None, waiting), default=0),
            is_cut_last=all(each.is_cut_last for each in reports),
        )

    def _attend(self, at: int, call: LayerCall) -> Tensor:
        """One layer's attention of a row."""
        output = self.rows[at].attend(call)
        if call.keys.shape[1] > 1:
            layer = self.rows[at].layer(call.layer)
            self.peak = max(self.peak, self.nbytes - layer.nbytes + layer.peak)
        if at == self._last and call.layer == len(self.layers) - 1:
            self._moments.append(self._moment())
            self.peak = max(self.peak, self._moments[-1].nbytes)
        return output

    def _moment(self) -> Moment:
        """All rows as they are after their last pass."""
        last = [row.moments[-1] for row in self.rows if row.moments]
        return Moment(
            sum(moment.tokens for moment in last),
            sum(moment.nbytes for moment in last),
            sum(moment.full_nbytes for moment in last),
        )
