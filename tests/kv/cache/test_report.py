"""The bytes of a cache over time."""

import pytest

from keepmap.kv.cache.report import CacheReport, Moment, report_of
from keepmap.kv.choosing import Protection
from keepmap.kv.modes import Mode


def test_a_report_is_a_table_of_its_moments() -> None:
    report = CacheReport(moments=(Moment(3, 30, 60), Moment(4, 2048, 3072)), peak_nbytes=4096)
    assert (report.tokens, report.nbytes, report.full_nbytes) == (4, 2048, 3072)
    assert report.to_csv().split() == ["tokens,bytes,full_bytes", "3,30,60", "4,2048,3072"]
    assert repr(report) == "CacheReport(4 tokens: 2 KiB held, 4 KiB at the peak; 3 KiB without eviction)"


def test_the_rows_of_a_batch_are_said() -> None:
    report = CacheReport(moments=(Moment(12, 90, 95),), peak_nbytes=90, n_rows=3)
    assert repr(report).startswith("CacheReport(12 tokens in 3 rows: 90 bytes held")


def test_before_anything_ran() -> None:
    report = CacheReport(moments=(), peak_nbytes=0)
    assert (report.tokens, report.nbytes, report.full_nbytes) == (0, 0, 0) and not report.rows


def test_nothing_to_evict_is_said_and_something_is_not() -> None:
    short = CacheReport(moments=(Moment(12, 90, 90),), peak_nbytes=90, n_protected=12)
    words = "nothing to evict: 12 tokens are no more than the 12 that are protected, sinks and window"
    assert short.nothing_to_evict == words and repr(short).endswith(f"; {words})")
    longer = CacheReport(moments=(Moment(13, 90, 90),), peak_nbytes=90, n_protected=12)
    assert longer.nothing_to_evict is None and "nothing" not in repr(longer)


SHORT = "nothing to evict: {} tokens are no more than the {} that are protected, sinks and window"
WAITS = "nothing evicted yet: the next cut comes after {}"
WHOLE = "the last {} held whole: the next cut comes after {}"
LAST = "the cut came after the last token: no query has seen what it left"


@pytest.mark.parametrize(
    ("mode", "seen", "note"),
    [
        (Mode(), 12, SHORT.format(12, 12)),
        (Mode(), 13, None),
        (Mode("chunked", chunk_size=1000), 400, WAITS.format("600 more tokens")),
        (Mode(interval=1000), 400, WAITS.format("600 more tokens")),
        (Mode(interval=5), 14, WAITS.format("1 more token")),
        (Mode("chunked", chunk_size=6), 12, SHORT.format(12, 12)),
        (Mode("chunked", chunk_size=5), 6, SHORT.format(6, 12)),
        (Mode("chunked", chunk_size=100), 200, None),
        (Mode("chunked", chunk_size=100), 201, WHOLE.format("token is", "99 more tokens")),
        (Mode(interval=100), 299, WHOLE.format("99 tokens are", "1 more token")),
        (Mode("once", context_length=30), 20, WAITS.format("10 more tokens")),
        (Mode("once", context_length=30), 30, LAST),
        (Mode("once", context_length=30), 31, None),
        (Mode("once", context_length=12), 31, SHORT.format(31, 31)),
    ],
    ids=str,
)
def test_what_the_bytes_do_not_say(mode: Mode, seen: int, note: str | None) -> None:
    report = report_of((Moment(seen, 90, 400),), 90, Protection(4, 8), mode, seen)
    assert report.note == note and repr(report).endswith("without eviction)" if note is None else f"; {note})")
    assert (report.nothing_to_evict is None) == (note is None or note == LAST or note.startswith("the last"))


def test_more_than_the_full_cache_is_said() -> None:
    note = "more than without eviction: bookkeeping and room to spare outweigh what was dropped"
    more, as_much = (
        report_of((Moment(30, size, 400),), size, Protection(4, 8), Mode("decode"), 30) for size in (401, 400)
    )
    assert more.note == note and repr(more).endswith(f"; {note})") and as_much.note is None
