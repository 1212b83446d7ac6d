"""What every front door does with errors: one line and an exit code."""

import errno
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
        # The reader of a pipe (head, less) has seen enough.
        _close_stdout()
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _close_stdout()
        print(f"error: the output cannot be written: {error.strerror}; make room on the disk", file=sys.stderr)
        return 2
    return code


def _close_stdout() -> None:
    """What is left to flush goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
