"""How far a long run is, and the time that is left: a bar on stderr, where that is a terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from keepmap.core.outside.output import escaped_stdout

__all__ = ["Lines", "progress_bar", "saying_what_is_kept", "share_of_work"]

EVERY = 30.0
"""Seconds between two lines where stderr is no terminal."""


@contextlib.contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A bar that is gone when the run ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # While the bar is shown, what is printed goes through its console, which must not take it out of a pipe.
    with (
        Progress(
            *columns,
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=False,
        ) as progress,
        escaped_stdout(),
    ):
        yield progress


@contextlib.contextmanager
def share_of_work(
    label: str, console: Console, clock: Callable[[], float] = time.monotonic, total: float = 1.0
) -> Iterator[Callable[[float], None]]:
    """A bar of one long piece of work, told its share; where stderr is no terminal, a line every half a minute.

    Args:
        total: what the bar counts to.
    """
    if console.is_terminal:
        with progress_bar(console) as bar:
            task = bar.add_task(label, total=total)
            yield lambda share: bar.update(task, completed=share * total)
        return
    start = last = clock()

    def progress(share: float) -> None:
        nonlocal last
        now = clock()
        if now - last >= EVERY and share > 0:
            last = now
            times = (now - start, (now - start) * (1 - share) / share)
            spent, left = (timedelta(seconds=round(seconds)) for seconds in times)
            console.print(f"{label}: {100 * share:.0f} % after {spent}, about {left} left", soft_wrap=True)

    yield progress


class Lines:
    """Lines on stderr that say how far a run is: those that are due, and others after half a minute without one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, clock()

    def say(self, words: Callable[[], str], due: bool = False) -> None:
        """Print a line, if it is due or none was for half a minute."""
        now = self._clock()
        if due or now - self._last >= EVERY:
            self._last = now
            print(words(), file=sys.stderr, flush=True)


@contextlib.contextmanager
def saying_what_is_kept(kept: Callable[[], str]) -> Iterator[None]:
    """After Ctrl-C or another signal, a line on stderr that says what is finished."""
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        with contextlib.suppress(OSError):
            print(f"Interrupted: {kept()}", file=sys.stderr)
        raise
