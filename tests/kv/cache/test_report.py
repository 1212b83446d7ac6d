"""The bytes of a cache over time."""

from keepmap.kv.cache.report import CacheReport, Moment


def test_a_report_is_a_table_of_its_moments() -> None:
    report = CacheReport(moments=(Moment(3, 30, 60), Moment(4, 2048, 80)), peak_nbytes=4096)
    assert (report.tokens, report.nbytes, report.full_nbytes) == (4, 2048, 80)
    assert report.to_csv().split() == ["tokens,bytes,full_bytes", "3,30,60", "4,2048,80"]
    assert repr(report) == "CacheReport(4 tokens: 2 KiB held, 4 KiB at the peak; 80 bytes without eviction)"


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
    waits = CacheReport(moments=(Moment(900, 90, 90),), peak_nbytes=90, n_protected=12, n_awaited=100)
    words = 'nothing evicted yet: in mode "once" the cut comes after 100 more tokens'
    assert waits.nothing_to_evict == words and repr(waits).endswith(f"; {words})")
    longer = CacheReport(moments=(Moment(13, 90, 90),), peak_nbytes=90, n_protected=12)
    assert longer.nothing_to_evict is None and "nothing" not in repr(longer)
