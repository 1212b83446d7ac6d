"""What is printed is escaped, and bars go past it."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from keepmap.commands.progress import progress_bar
from keepmap.core.outside.output import EscapedOutput, escaped_output

EVIL = "a\x1b[2Jb\u202ec\x07d\r\ne\x9bf"
SAFE = "a\\x1b[2Jb\\u202ec\\x07d\\r\ne\\x9bf"


def test_both_streams_are_escaped_inside_and_as_they_were_after(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with escaped_output():
        print(EVIL)
        print(EVIL, file=sys.stderr)
        sys.stdout.writelines([EVIL, EVIL])
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == (f"{SAFE}\n{SAFE}{SAFE}", f"{SAFE}\n")


@given(st.text())
def test_a_stream_is_told_what_it_was_given(text: str) -> None:
    inner = io.StringIO()
    outer = EscapedOutput(inner)
    assert outer.write(text) == len(text)
    assert "\x1b" not in inner.getvalue() and outer.isatty() is False


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_has_its_sequences_and_what_is_printed_below_it_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    with escaped_output():
        console = Console(stderr=True, highlight=False, width=200)
        with progress_bar(console) as bar:
            bar.add_task("Work", total=2)
            print("\x1b]8;;http://evil\x07link\x1b[2J")
    shown = screen.getvalue()
    assert "\\x1b]8;;http://evil\\x07link\\x1b[2J" in shown
    assert "\x1b[?25l" in shown, "the bar hides the cursor"
    assert "\x1b[2J" not in shown and "\x1b]8" not in shown
