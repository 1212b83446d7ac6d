"""What is printed holds nothing that a terminal obeys: names and tokens of files go to it as escapes."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from keepmap.errors import escaped

__all__ = ["EscapedOutput", "escaped_output", "escaped_stdout"]


class EscapedOutput:
    """A text stream that writes into another one, with escapes; everything else is that one's.

    Bars of rich, which need a terminal's own sequences, go past it: `rich_proxied_file` is where rich looks.
    """

    def __init__(self, stream: Any) -> None:
        self.rich_proxied_file = getattr(stream, "rich_proxied_file", stream)
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text; returns its length, as streams do."""
        self._stream.write(escaped(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write every line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def escaped_output() -> Iterator[None]:
    """Inside, what is printed to stdout and stderr is escaped."""
    with escaped_stdout(), contextlib.redirect_stderr(EscapedOutput(sys.stderr)):
        yield


@contextlib.contextmanager
def escaped_stdout() -> Iterator[None]:
    """Inside, what is printed to stdout is escaped: below a bar too, which has put a stream of its own there."""
    with contextlib.redirect_stdout(EscapedOutput(sys.stdout)):
        yield
