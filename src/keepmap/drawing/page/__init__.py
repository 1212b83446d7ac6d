"""One HTML file that shows results offline: written here, read by any browser, with no network and no framework.

`page.html` is its shell, `styles/` what it looks like, `scripts/` what all views share, and each file of `views/` is
one view, which registers itself; Python joins them when a page is written. `values/` has a file for what the page shows
of each kind of value. All that comes from outside is text in it.
"""

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.spans import Span as Span
from keepmap.drawing.page.spans import read_spans as read_spans
from keepmap.drawing.page.values.kinds import Reportable as Reportable
from keepmap.drawing.page.write import framed_page as framed_page
from keepmap.drawing.page.write import require_free_report, write_report

__all__ = ["ReportedRun", "require_free_report", "write_report"]
