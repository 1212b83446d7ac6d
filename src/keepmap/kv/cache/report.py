"""What a cache held over time, beside what the full one would hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from keepmap.core.outside.memory import size_text
from keepmap.core.result_table import ResultTable
from keepmap.errors import counted
from keepmap.kv.choosing import Protection
from keepmap.kv.modes import Mode

__all__ = ["CacheReport", "Moment", "report_of"]


_MORE_THAN_FULL = "more than without eviction: bookkeeping and room to spare outweigh what was dropped"


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
        n_uncut: how many came after the last cut, and are held whole until the next one.
        n_awaited: how many tokens are still to come before that; 0 where each query is a cut, or no other one comes.
        is_cut_last: in mode "once", whether the cut came after the last token, so that no query has seen what it left.

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
    n_uncut: int = 0
    n_awaited: int = 0
    is_cut_last: bool = False

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
        """Why nothing was dropped, in words; None where more was seen at the last cut than is protected.

        >>> CacheReport(moments=(Moment(100, 400, 400),), peak_nbytes=400, n_protected=132).nothing_to_evict
        'nothing to evict: 100 tokens are no more than the 132 that are protected, sinks and window'
        """
        if self.tokens - self.n_uncut > self.n_protected:
            return None
        if self.n_awaited and self.tokens + self.n_awaited > self.n_protected:
            return f"nothing evicted yet: {self._next_cut}"
        return (
            f"nothing to evict: {counted(self.tokens, 'token')} are no more than the {self.n_protected:,} that are "
            "protected, sinks and window"
        )

    @property
    def note(self) -> str | None:
        """What the bytes do not say, in words: that nothing was dropped and why, what the last cut did not reach, or
        why more is held than without eviction.

        >>> report = CacheReport(moments=(Moment(100, 60, 400),), peak_nbytes=90, n_uncut=36, n_awaited=28)
        >>> report.note
        'the last 36 tokens are held whole: the next cut comes after 28 more tokens'
        """
        if not self.moments or self.nothing_to_evict is not None:
            return self.nothing_to_evict if self.moments else None
        if self.is_cut_last:
            return "the cut came after the last token: no query has seen what it left"
        if not self.n_awaited:
            return None if self.nbytes <= self.full_nbytes else _MORE_THAN_FULL
        whole = "token is" if self.n_uncut == 1 else f"{self.n_uncut:,} tokens are"
        return f"the last {whole} held whole: {self._next_cut}"

    @property
    def _next_cut(self) -> str:
        return f"the next cut comes after {counted(self.n_awaited, 'more token')}"

    def __repr__(self) -> str:
        rows = f" in {self.n_rows:,} rows" if self.n_rows > 1 else ""
        return (
            f"CacheReport({counted(self.tokens, 'token')}{rows}: {size_text(self.nbytes)} held, "
            f"{size_text(self.peak_nbytes)} at the peak; {size_text(self.full_nbytes)} without eviction"
            f"{'' if self.note is None else f'; {self.note}'})"
        )


def report_of(
    moments: Sequence[Moment], peak_nbytes: int, protection: Protection, mode: Mode, seen: int
) -> CacheReport:
    """The report of one text.

    Args:
        mode: when it is cut; in mode "once" with the context, where that is known.
        seen: how many positions have come.
    """
    protected = protection.n_sink + protection.window
    if mode.name != "once":
        uncut = seen % mode.every
        return CacheReport(
            moments=tuple(moments),
            peak_nbytes=peak_nbytes,
            n_protected=protected,
            n_uncut=uncut,
            n_awaited=mode.every - uncut if uncut else 0,
        )
    after = seen - (mode.context_of(0) or 0)
    return CacheReport(
        moments=tuple(moments),
        peak_nbytes=peak_nbytes,
        n_protected=protected + max(0, after),
        n_uncut=seen if after < 0 else 0,
        n_awaited=max(0, -after),
        is_cut_last=after == 0,
    )
