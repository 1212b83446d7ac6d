"""What every front door does with errors: one line and an exit code."""

import os
import sys
from collections.abc import Callable

from keepmap.errors import KeepmapError

__all__ = ["guarded"]

INTERRUPTED = 130


def guarded(work: Callable[[], int]) -> int:
    """Do the work. Returns its exit code, 2 after an error of the user's (one line on stderr), 130 after Ctrl-C."""
    try:
        code = work()
        sys.stdout.flush()
    except KeepmapError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough; what is left to flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
