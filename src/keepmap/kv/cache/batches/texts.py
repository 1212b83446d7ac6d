"""A cache of one text that becomes one of several where a call brings several, or padding."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Cache

from keepmap.errors import InputError, counted
from keepmap.kv.cache.batches.batch import Batch
from keepmap.kv.cache.batches.padding import paddings_of
from keepmap.kv.passes import Text

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache

__all__ = ["CacheOfTexts"]


class CacheOfTexts(Cache):
    """What a cache does for a batch: it hands each text to a cache of its own, a row.

    Attributes:
        batch: the rows, None while the cache is of one text without padding.
    """

    batch: Batch | None
    layers: list[Any]

    @abstractmethod
    def this(self) -> "EvictingCache":
        """Itself, as what it is."""

    def __deepcopy__(self, memo: object) -> "EvictingCache":
        """A fork: the model is not copied."""
        return self.this().fork()

    @property
    def rows(self) -> "tuple[EvictingCache, ...]":
        """The caches of a batch, one per text: each a cache of its own, in the batch's order; of one text, this one."""
        return (self.this(),) if self.batch is None else tuple(self.batch.rows)

    def texts(self, named: dict[str, Any], new: Tensor) -> Sequence[Text]:
        """The texts of a call that goes on with this cache; one that brings several, or padding, makes it a batch.

        Args:
            named: the call's arguments by name. new: [B, n] or [B, n, hidden], what comes.

        Raises:
            InputError: another number of texts than before, more positions than the model has, or what `paddings_of`
                refuses.
        """
        this = self.this()
        this.require_whole()
        count, seen = new.shape[0], self.get_seq_length()
        if self.batch is not None and count != len(self.batch.rows):
            raise InputError(f"expected {counted(len(self.batch.rows), 'text')}, which this cache is of, got {count}")
        before = [0] * count if self.batch is None else self.batch.paddings
        paddings = paddings_of(named, new, seen, before)
        this.require_room(new.shape[1] - min(paddings))
        if self.batch is None and count == 1 and not any(paddings):
            return (Text(this.attend),)
        if self.batch is None:
            self.become(count)
        assert self.batch is not None
        return self.batch.texts(paddings, new.shape[1])

    def become(self, count: int) -> None:
        """A cache of so many texts, which all have seen what this one has."""
        this = self.this()
        batch = Batch([this.fork() for _ in range(count)], [0] * count, self.get_seq_length())
        batch.peak = max(this.report().peak_nbytes, this.bytes() + batch.nbytes)
        self.hold(batch)

    def hold(self, batch: Batch) -> None:
        """Be a cache of these texts."""
        self.batch, self.layers = batch, list(batch.layers)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with these rows, as beam search asks; one that is named twice becomes two.

        Raises:
            InputError: a pass on this cache was broken off.
        """
        self.this().require_whole()
        if self.batch is None:
            self.become(1)
        assert self.batch is not None
        self.batch.reorder(beam_idx.tolist())

    def batch_select_indices(self, indices: Tensor) -> None:
        """Go on with these rows."""
        self.reorder_cache(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Go on with each row so many times."""
        self.reorder_cache(torch.arange(len(self.rows)).repeat_interleave(repeats))

    def only(self) -> "EvictingCache":
        """The cache of the one text that this is of.

        Raises:
            InputError: it is of a batch.
        """
        if len(self.rows) > 1:
            raise InputError(
                f"expected a cache of one text, got one of a batch of {len(self.rows)}; take one of its `rows`"
            )
        return self.rows[0]
