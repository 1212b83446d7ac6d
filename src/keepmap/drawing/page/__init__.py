"""One HTML file that shows comparisons offline: written here, read by any browser, with no network and no framework.

`page.html` is its shell, `styles/` what it looks like, `scripts/` what all views share, and each file of `views/` is
one view, which registers itself; Python joins them when a page is written. All that comes from outside is text in it.
"""

from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.write import require_free_report, write_report

__all__ = ["ReportedRun", "require_free_report", "write_report"]
