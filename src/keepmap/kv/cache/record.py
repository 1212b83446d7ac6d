"""What was decided about every position that a layer of a cache has seen: as much of a KeepMap as can be known now."""

import numpy as np

from keepmap.kv.cache.rows import wider, with_room

__all__ = ["Record"]


class Record:
    """Expiries and scores of one layer, in few bytes: positions stay in it when their keys and values are gone.

    Attributes:
        n: how many positions it has.
    """

    def __init__(self, heads: int) -> None:
        self.n = 0
        self._expires = np.zeros((heads, 0), dtype=np.int32)
        self._scores = np.zeros((heads, 0), dtype=np.float32)

    @property
    def nbytes(self) -> int:
        """What it takes, with its room."""
        return self._expires.nbytes + self._scores.nbytes

    @property
    def expires(self) -> np.ndarray:
        """[G, n], the first query that no longer sees a position; 0 where it is held."""
        return self._expires[:, : self.n]

    @property
    def scores(self) -> np.ndarray:
        """[G, n], the score that decided, or is known."""
        return self._scores[:, : self.n]

    @property
    def rooms(self) -> tuple[np.ndarray, np.ndarray]:
        """Expiries and scores with the room to spare."""
        return self._expires, self._scores

    def append(self, scores: np.ndarray) -> None:
        """New positions, which are held, with the scores [G, new] that are known."""
        self.reserve(scores.shape[1])
        self.scores[:, self.n - scores.shape[1] :] = scores

    def reserve(self, new: int) -> None:
        """New positions, which are held, with scores of 0."""
        self.n += new
        if self.n > self._expires.shape[1]:
            room = with_room(self.n)
            self._expires, self._scores = wider(self._expires, room), wider(self._scores, room)

    def expire(self, positions: np.ndarray, ends: np.ndarray, which: np.ndarray) -> None:
        """Some of the entries at `positions` [G, W] expired at `ends` [G, W]."""
        self._expires[np.nonzero(which)[0], positions[which]] = ends[which]

    def rate(self, positions: np.ndarray, scores: np.ndarray, which: np.ndarray) -> None:
        """Some of the entries at `positions` [G, W] were decided by `scores` [G, W]."""
        self._scores[np.nonzero(which)[0], positions[which]] = scores[which]

    def copy(self) -> "Record":
        """The same in memory of its own."""
        other = Record(len(self._expires))
        other.n, other._expires, other._scores = self.n, self._expires.copy(), self._scores.copy()
        return other
