"""What a cache held over time, beside what the full one would hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from keepmap.core.outside.memory import size_text
from keepmap.core.result_table import ResultTable
from keepmap.errors import counted
from keepmap.kv.choosing import Protection

__all__ = ["CacheReport", "Moment", "report_of"]


@dataclass(frozen=True)
class Moment:
    """After a pass: positions seen, bytes held, and bytes that the full cache would hold; of all rows together."""

    tokens: int
    nbytes: int
    full_nbytes: int


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CacheReport(ResultTable):
    """The memory of a cache: now, at its peak, and after each pass of the model.

    Attributes:
        moments: after each pass, in order.
        peak_nbytes: the most that was held at any time, the keys that a pass brings among them.
        n_protected: how many positions are never dropped: sinks, window, and what comes after the one cut of a context.
        n_rows: how many rows of a batch these are of together: texts, the beams of them, or several answers to them.
        n_awaited: in mode "once", how many tokens are still to come before a context is cut.

    >>> report = CacheReport(moments=(Moment(100, 80, 400), Moment(101, 81, 404)), peak_nbytes=90)
    >>> report
    CacheReport(101 tokens: 81 bytes held, 90 bytes at the peak; 404 bytes without eviction)
    >>> report.rows[0]
    {'tokens': 100, 'bytes': 80, 'full_bytes': 400}
    """

    moments: tuple[Moment, ...]
    peak_nbytes: int
    n_protected: int = 0
    n_rows: int = 1
    n_awaited: int = 0

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row per pass: positions seen, bytes held, and what the full cache would hold."""
        return [
            {"tokens": moment.tokens, "bytes": moment.nbytes, "full_bytes": moment.full_nbytes}
            for moment in self.moments
        ]

    @property
    def caption(self) -> str:
        """What is measured."""
        return "Bytes of the cache after each pass"

    @property
    def tokens(self) -> int:
        """Positions seen."""
        return self.moments[-1].tokens if self.moments else 0

    @property
    def nbytes(self) -> int:
        """Held at the end: keys, values and bookkeeping."""
        return self.moments[-1].nbytes if self.moments else 0

    @property
    def full_nbytes(self) -> int:
        """What the full cache would hold at the end."""
        return self.moments[-1].full_nbytes if self.moments else 0

    @property
    def nothing_to_evict(self) -> str | None:
        """Why nothing can have been dropped, in words; None where more was seen than is protected.

        >>> CacheReport(moments=(Moment(100, 400, 400),), peak_nbytes=400, n_protected=132).nothing_to_evict
        'nothing to evict: 100 tokens are no more than the 132 that are protected, sinks and window'
        """
        if self.n_awaited:
            more = counted(self.n_awaited, "more token")
            return f'nothing evicted yet: in mode "once" the cut comes after {more}'
        if self.tokens > self.n_protected:
            return None
        return (
            f"nothing to evict: {counted(self.tokens, 'token')} are no more than the {self.n_protected:,} that are "
            "protected, sinks and window"
        )

    def __repr__(self) -> str:
        nothing = self.nothing_to_evict if self.moments else None
        rows = f" in {self.n_rows:,} rows" if self.n_rows > 1 else ""
        return (
            f"CacheReport({counted(self.tokens, 'token')}{rows}: {size_text(self.nbytes)} held, "
            f"{size_text(self.peak_nbytes)} at the peak; {size_text(self.full_nbytes)} without eviction"
            f"{'' if nothing is None else f'; {nothing}'})"
        )


def report_of(moments: Sequence[Moment], peak_nbytes: int, protection: Protection, after_the_cut: int) -> CacheReport:
    """The report of one text.

    Args:
        after_the_cut: in mode "once", how many positions came after the cut, below 0 where it is still to come; else 0.
    """
    return CacheReport(
        moments=tuple(moments),
        peak_nbytes=peak_nbytes,
        n_protected=protection.n_sink + protection.window + max(0, after_the_cut),
        n_awaited=max(0, -after_the_cut),
    )
