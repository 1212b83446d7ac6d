"""What a cache held over time, beside what the full one would hold."""

from dataclasses import dataclass

from keepmap.core.outside.memory import size_text
from keepmap.core.result_table import ResultTable
from keepmap.errors import counted

__all__ = ["CacheReport", "Moment"]


@dataclass(frozen=True)
class Moment:
    """After a pass: positions seen, bytes held, and bytes that the full cache would hold."""

    tokens: int
    nbytes: int
    full_nbytes: int


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CacheReport(ResultTable):
    """The memory of a cache: now, at its peak, and after each pass of the model.

    Attributes:
        moments: after each pass, in order.
        peak_nbytes: the most that was held at any time, the keys that a pass brings among them.

    >>> report = CacheReport(moments=(Moment(100, 80, 400), Moment(101, 81, 404)), peak_nbytes=90)
    >>> report
    CacheReport(101 tokens: 81 bytes held, 90 bytes at the peak; 404 bytes without eviction)
    >>> report.rows[0]
    {'tokens': 100, 'bytes': 80, 'full_bytes': 400}
    """

    moments: tuple[Moment, ...]
    peak_nbytes: int

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

    def __repr__(self) -> str:
        return (
            f"CacheReport({counted(self.tokens, 'token')}: {size_text(self.nbytes)} held, "
            f"{size_text(self.peak_nbytes)} at the peak; {size_text(self.full_nbytes)} without eviction)"
        )
