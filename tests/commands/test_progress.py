"""The bar of a long run: on a terminal only, on stderr, and gone when the run ends."""

import io
import sys

import pytest
from rich.console import Console

from keepmap.commands.progress import Lines, progress_bar, share_of_work


class Terminal(io.StringIO):
    """An output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, out: io.StringIO, error: io.StringIO) -> tuple[str, str]:
    """What a run of two steps leaves on stdout and on stderr."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", out)
    with progress_bar(Console(file=error, width=80, highlight=False)) as progress:
        task = progress.add_task("Steps", total=2)
        progress.advance(task)
        print("a line of the run", flush=True)
        progress.refresh()
    return out.getvalue(), error.getvalue()


def test_nothing_is_drawn_where_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, io.StringIO(), io.StringIO()) == ("a line of the run\n", "")


def test_a_bar_is_drawn_and_taken_away_again(monkeypatch: pytest.MonkeyPatch) -> None:
    out, error = drawn(monkeypatch, io.StringIO(), Terminal())
    # stdout is a pipe: the line goes into it, not past it through the bar.
    assert out == "a line of the run\n" and "a line of the run" not in error
    assert "Steps" in error and "1/2" in error and "left" in error
    # At the end the cursor is back, and the line that the bar stood on is erased.
    assert error.endswith("\x1b[?25h\r\x1b[1A\x1b[2K"), repr(error)


def test_what_is_printed_stands_above_the_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out, error = drawn(monkeypatch, Terminal(), Terminal())
    assert out == "" and "a line of the run" in error


def test_the_bar_is_gone_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    error = Terminal()

    def stopped() -> None:
        with progress_bar(Console(file=error, width=80)) as progress:
            progress.add_task("Steps", total=2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "\x1b[?25h" in error.getvalue()  # the cursor is back


def test_where_stderr_is_a_file_a_line_comes_every_half_a_minute() -> None:
    error, now = io.StringIO(), iter([0.0, 10.0, 31.0, 45.0, 62.0])
    with share_of_work("Deletions", Console(file=error, width=40), lambda: next(now)) as progress:
        for share in (0.01, 0.25, 0.3, 0.5):
            progress(share)
    assert error.getvalue().splitlines() == [
        "Deletions: 25 % after 0:00:31, about 0:01:33 left",
        "Deletions: 50 % after 0:01:02, about 0:01:02 left",
    ]


def test_a_share_of_work_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    error = Terminal()
    with share_of_work("Deletions", Console(file=error, width=80)) as progress:
        progress(0.5)
    assert "Deletions" in error.getvalue() and "after" not in error.getvalue()


def test_lines_that_are_not_due_come_after_half_a_minute_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    moments = {"at 1": 1.0, "at 29": 29.0, "at 31": 31.0, "at 40": 40.0, "at 69": 69.0, "at 70": 70.0}
    lines = Lines(iter([0.0, *moments.values()]).__next__)
    for words in moments:
        lines.say(words.__str__, due=words in ("at 1", "at 40"))
    assert capsys.readouterr().err.split("\n") == ["at 1", "at 31", "at 40", "at 70", ""]
