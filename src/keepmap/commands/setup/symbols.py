"""A tick and a cross, or words where the output cannot show them."""

import sys

__all__ = ["mark"]


def mark(good: bool) -> str:
    """`✓` or `✗`; `[ok]` or `[--]` where stdout's encoding has neither."""
    try:
        "✓✗".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "[ok]" if good else "[--]"
    return "✓" if good else "✗"
