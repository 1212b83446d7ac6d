"""See what a compressor does while an agent acts."""

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
        length: the sum of how many there were.
    """

    kept: Counter[int] = field(default_factory=Counter)
    computed: Counter[int] = field(default_factory=Counter)
    length: int = 0

    def see(self, history: History, selection: Selection) -> None:
        """Count one action of each agent."""
        kept = selection.mask.sum(1).tolist()
        self.kept.update(kept)
        self.computed[max(kept)] += len(kept)
        self.length += int(history.valid.sum())


@dataclass(frozen=True)
class _Watched(Compressor):
    """Chooses as another compressor does."""

    inner: Compressor
    see: See

    name: ClassVar[str] = "watched"

    @property
    def max_length(self) -> int:
        """See `Compressor`."""
        return self.inner.max_length

    def select(self, history: History) -> Selection:
        """See `Compressor`."""
        selection = self.inner.select(history)
        self.see(history, selection)
        return selection

    def _kept(self, history: History) -> Bool[Tensor, "B n"]:
        return self.inner._kept(history)


@dataclass(frozen=True)
class _WatchedLooking(_Watched):
    """The same, of a compressor that decides by attention."""

    needs_attention: ClassVar[bool] = True


def watched(inner: Compressor, see: See) -> Compressor:
    """A compressor that chooses as `inner` does, and shows `see` each history and what was chosen of it."""
    return (_WatchedLooking if inner.needs_attention else _Watched)(inner, see)
