"""What a compressor keeps while an agent acts, seen and counted."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from keepmap.agents.compressor import Compressor
from keepmap.agents.history import History, Selection

__all__ = ["Tally", "watched"]

See = Callable[[History, Selection], None]


@dataclass
class Tally:
    """How many transitions were kept, of how many there were, over all actions of all agents.

    Attributes:
        kept: how often so many were kept.
        computed: how often so many were computed: for every row as many as the row that keeps most.
        shown: how often the compressor was shown so many.
        length: the sum of how many there were.
        whole_life: whether all that an agent has lived through counts as there, not only what it holds.
    """

    kept: Counter[int] = field(default_factory=Counter)
    computed: Counter[int] = field(default_factory=Counter)
    shown: Counter[int] = field(default_factory=Counter)
    length: int = 0
    whole_life: bool = False

    def see(self, history: History, selection: Selection) -> None:
        """Count the transitions that one action of each agent saw."""
        kept = selection.mask.sum(1).tolist()
        self.kept.update(kept)
        self.computed[max(kept)] += len(kept)
        self.shown[history.valid.shape[1]] += len(kept)
        there = history.valid
        if self.whole_life and there.shape[1]:
            there = history.times.masked_fill(~there, -1).amax(1) + 1
        self.length += int(there.sum())


@dataclass(frozen=True)
class _Watched(Compressor):
    """Chooses as another compressor does, and shows what it has chosen."""

    inner: Compressor
    see: See

    name: ClassVar[str] = "watched"

    @property
    def needs_attention(self) -> bool:  # type: ignore[override]  # a class variable of those that are no wrapper
        """Whether the compressor inside decides by attention."""
        return self.inner.needs_attention

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Whether the compressor inside holds what it chose from the whole life."""
        return self.inner.remembers

    @property
    def max_length(self) -> int:
        """The most transitions that the compressor inside can keep."""
        return self.inner.max_length

    def select(self, history: History) -> Selection:
        """The choice of the compressor inside."""
        selection = self.inner.select(history)
        self.see(history, selection)
        return selection

    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        return self.inner.kept(history)


def watched(inner: Compressor, see: See) -> Compressor:
    """A compressor that chooses as `inner` does, and shows `see` each history and what was chosen of it."""
    return _Watched(inner, see)
