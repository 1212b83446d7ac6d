"""The bytes of a cache over time."""

from keepmap.kv.cache.report import CacheReport, Moment


def test_a_report_is_a_table_of_its_moments() -> None:
    report = CacheReport(moments=(Moment(3, 30, 60), Moment(4, 2048, 80)), peak_nbytes=4096)
    assert (report.tokens, report.nbytes, report.full_nbytes) == (4, 2048, 80)
    assert report.to_csv().split() == ["tokens,bytes,full_bytes", "3,30,60", "4,2048,80"]
    assert repr(report) == "CacheReport(4 tokens: 2 KiB held, 4 KiB at the peak; 80 bytes without eviction)"


def test_before_anything_ran() -> None:
    report = CacheReport(moments=(), peak_nbytes=0)
    assert (report.tokens, report.nbytes, report.full_nbytes) == (0, 0, 0) and not report.rows
