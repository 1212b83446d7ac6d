"""Rows per KV head with room to spare, in any order: what is dropped is swapped with the last.

G KV heads · K rows of the fullest head · D row size.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Columns", "Slabs", "wider", "with_room"]

_LEAST_ROOM = 8
_ROOM = 32
"""A head has room for one more row in so many. Growing copies all rows, as each step reads them all: it may be rare."""


def with_room(count: int) -> int:
    """Rows to have where `count` are held."""
    return count + max(_LEAST_ROOM, count // _ROOM)


def wider(values: np.ndarray, width: int, fill: int = 0) -> np.ndarray:
    """The same in rows of `width`, with `fill` behind."""
    result = np.full((len(values), width), fill, dtype=values.dtype)
    result[:, : values.shape[1]] = values
    return result


class Slabs:
    """Keys and values of what one layer holds, on the model's device; heads may hold different numbers.

    Each head's rows are a slab of one tensor, so that heads that hold the same number are one batch.

    Attributes:
        counts: [G], how many rows each head holds. starts: [G], the first row of each.
        keys: [rows of all heads with their room, D], values: likewise.
    """

    def __init__(self, heads: int, keys: Float[Tensor, "rows D"], values: Float[Tensor, "rows Dv"]) -> None:
        self.counts = np.zeros(heads, dtype=np.int64)
        self.keys, self.values = keys, values
        self.starts = np.zeros(heads, dtype=np.int64)
        self._rooms = np.zeros(heads, dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """What the slabs take, with their room."""
        return self.keys.nbytes + self.values.nbytes

    @property
    def entry_nbytes(self) -> int:
        """What one key and its value take."""
        return self.keys.shape[1] * self.keys.element_size() + self.values.shape[1] * self.values.element_size()

    def append(self, keys: Float[Tensor, "G new D"], values: Float[Tensor, "G new Dv"]) -> None:
        """New rows at the end of every head."""
        after = self.counts + keys.shape[1]
        self.reserve(keys.shape[1])
        for slab, rows in ((self.keys, keys), (self.values, values)):
            if self._is_even():
                count = int(self.counts[0])
                slab.view(len(self.counts), -1, slab.shape[1])[:, count : count + rows.shape[1]] = rows
            else:
                for head, start in enumerate(self.starts + self.counts):
                    slab[start : start + rows.shape[1]] = rows[head]
        self.counts = after

    def reserve(self, new: int) -> None:
        """Room for so many rows more of every head."""
        after = self.counts + new
        if (after > self._rooms).any():
            self._resize([slice(count) for count in self.counts], np.array([with_room(int(n)) for n in after]))

    def fill(self, keys: Float[Tensor, "rows D"], values: Float[Tensor, "rows Dv"], counts: np.ndarray) -> None:
        """Take the rows of all heads, one head after the other, and nothing else."""
        self.keys, self.values, self.counts = keys, values, counts.copy()
        self._set_rooms(counts.copy())

    def remove(self, heads: np.ndarray, rows: np.ndarray) -> None:
        """At most one row of each of these heads: the last one takes its place."""
        starts = self.starts[heads]
        at = torch.from_numpy(starts + rows).to(self.keys.device)
        last = torch.from_numpy(starts + self.counts[heads] - 1).to(self.keys.device)
        for slab in (self.keys, self.values):
            slab[at] = slab[last]
        self.counts[heads] -= 1

    def keep(self, rows: Sequence[np.ndarray]) -> None:
        """Nothing but these rows of each head, in this order."""
        self._resize(rows, np.array([with_room(len(kept)) for kept in rows]))

    def shrink(self) -> None:
        """Give room back where there is far too much of it."""
        if (self._rooms > 2 * self.counts + 64).any():
            self._resize([slice(count) for count in self.counts], np.array([with_room(int(n)) for n in self.counts]))

    def parts(self) -> Iterator[tuple[slice, Float[Tensor, "heads K D"], Float[Tensor, "heads K Dv"]]]:
        """Keys and values of heads that hold the same number, all of them at once where they can be."""
        if self._is_even():
            count, heads = int(self.counts[0]), len(self.counts)
            keys, values = (slab.view(heads, -1, slab.shape[1])[:, :count] for slab in (self.keys, self.values))
            yield slice(0, heads), keys, values
            return
        for head, start in enumerate(self.starts):
            rows = slice(int(start), int(start + self.counts[head]))
            yield slice(head, head + 1), self.keys[None, rows], self.values[None, rows]

    def whole(self) -> tuple[Float[Tensor, "G rows D"], Float[Tensor, "G rows Dv"]]:
        """The rows of all heads, to each head: views, in which a head's own begin at its `starts`."""
        heads = len(self.counts)
        return self.keys[None].expand(heads, -1, -1), self.values[None].expand(heads, -1, -1)

    def padded(self) -> tuple[Float[Tensor, "G K D"], Float[Tensor, "G K Dv"]]:
        """All heads as one tensor each; behind the rows of a head that holds fewer are some others."""
        if self._is_even():
            _, keys, values = next(self.parts())
            return keys, values
        most = int(self.counts.max())
        at = (self.starts[:, None] + np.arange(most)).clip(max=max(len(self.keys) - 1, 0))
        index = torch.from_numpy(at).to(self.keys.device)
        return self.keys[index], self.values[index]

    def copy(self) -> "Slabs":
        """The same rows in memory of their own."""
        other = Slabs(len(self.counts), self.keys.clone(), self.values.clone())
        other.counts = self.counts.copy()
        other._set_rooms(self._rooms.copy())
        return other

    def _set_rooms(self, rooms: np.ndarray) -> None:
        self._rooms = rooms
        self.starts = np.concatenate([[0], np.cumsum(rooms)[:-1]])

    def _is_even(self) -> bool:
        return bool((self.counts == self.counts[0]).all() and (self._rooms == self._rooms[0]).all())

    def _resize(self, rows: Sequence[np.ndarray | slice], rooms: np.ndarray) -> None:
        """Other rooms, with these rows of each head: by number in any order, or the first ones."""
        starts, ends = self.starts, np.cumsum(rooms)
        counts = [kept.stop if isinstance(kept, slice) else len(kept) for kept in rows]
        for name in ("keys", "values"):
            before: Tensor = getattr(self, name)
            after = before.new_empty(int(ends[-1]), before.shape[1])
            for head, kept in enumerate(rows):
                begin = int(ends[head] - rooms[head])
                own = after[begin : begin + counts[head]]
                if isinstance(kept, slice):
                    own.copy_(before[starts[head] :][kept])
                else:
                    torch.index_select(before, 0, torch.from_numpy(starts[head] + kept).to(before.device), out=own)
            setattr(self, name, after)
        self.counts = np.array(counts, dtype=np.int64)
        self._set_rooms(rooms.astype(np.int64))


class Columns:
    """What decides about the rows of `Slabs`, in the same order: each one's position, and its score.

    Attributes:
        counts: [G], how many each head has.
        positions: int32 [G, room], -1 where there is none. scores: float64 [G, room].
    """

    def __init__(self, heads: int) -> None:
        self.counts = np.zeros(heads, dtype=np.int64)
        self.positions = np.full((heads, 0), -1, dtype=np.int32)
        self.scores = np.zeros((heads, 0))

    @property
    def nbytes(self) -> int:
        """What they take, with their room."""
        return self.positions.nbytes + self.scores.nbytes

    @property
    def width(self) -> int:
        """K, how many the fullest head has."""
        return int(self.counts.max(initial=0))

    def append(self, positions: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> None:
        """New ones at the end of each head."""
        new = np.array([len(each) for each in positions], dtype=np.int64)
        after = self.counts + new
        self.reserve(new)
        for head, (start, end) in enumerate(zip(self.counts, after, strict=True)):
            self.positions[head, start:end] = positions[head]
            self.scores[head, start:end] = scores[head]
        self.counts = after

    def reserve(self, new: np.ndarray | int) -> None:
        """Room for so many more of each head."""
        most = int((self.counts + new).max())
        if most > self.positions.shape[1]:
            room = with_room(most)
            self.positions, self.scores = wider(self.positions, room, fill=-1), wider(self.scores, room)

    def remove(self, heads: np.ndarray, columns: np.ndarray) -> None:
        """At most one of each of these heads: the last one takes its place."""
        last = self.counts[heads] - 1
        for entries in self._both():
            entries[heads, columns] = entries[heads, last]
        self.positions[heads, last] = -1
        self.counts[heads] -= 1

    def keep(self, columns: Sequence[np.ndarray]) -> None:
        """Nothing but these of each head, in this order."""
        kept = [[values[head, at] for head, at in enumerate(columns)] for values in self._both()]
        self.counts = np.zeros(len(columns), dtype=np.int64)
        self.positions, self.scores = self.positions[:, :0], self.scores[:, :0]
        self.append(*kept)

    def copy(self) -> "Columns":
        """The same in memory of their own."""
        other = Columns(len(self.counts))
        other.counts, other.positions, other.scores = self.counts.copy(), self.positions.copy(), self.scores.copy()
        return other

    def _both(self) -> tuple[np.ndarray, np.ndarray]:
        return self.positions, self.scores
