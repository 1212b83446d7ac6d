"""What every front door does with errors: one line and an exit code, in the words of the command line."""

import errno
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from keepmap.cli.signals import CLOSED_PIPE, Ended, ending_by_signals, open_streams, silence
from keepmap.errors import KeepmapError, escaped, shortened

__all__ = ["Option", "guarded", "in_options", "naming_options"]

INTERRUPTED = 130


@dataclass(frozen=True)
class Option:
    """An option of a verb, and the parameter of the library that it fills.

    Attributes:
        name: without the dashes.
        parameter: of the function that the verb calls; nearly always the same name.
        flag: whether the option takes no value.
        inverted: whether the flag makes the parameter false.
    """

    name: str
    parameter: str
    flag: bool = False
    inverted: bool = False


def guarded(work: Callable[[], int]) -> int:
    """Do the work. Returns its exit code, 2 after an error of the user's (one line on stderr), 130 after Ctrl-C.

    SIGTERM and SIGHUP end it as Ctrl-C does, with 143 and 129; a pipe that nobody reads any more, with 141.
    """
    open_streams()
    try:
        with ending_by_signals():
            return _in_one_line(work)
    except Ended as end:
        return end.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        silence()
        return CLOSED_PIPE
    except SystemExit as stop:
        # What rich makes of a pipe that nobody reads.
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        silence()
        return CLOSED_PIPE


def _in_one_line(work: Callable[[], int]) -> int:
    try:
        code = work()
        sys.stdout.flush()
    except KeepmapError as error:
        return _refused(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            silence(sys.stdout)
        return _refused(_of_system(error))
    except MemoryError as error:
        return _refused(str(error) or "there is not enough memory")
    return code


def _refused(message: str) -> int:
    """Say it in one line of no more than LONGEST letters."""
    line = " ".join(escaped(f"error: {message}").split())
    print(shortened(line), file=sys.stderr)
    return 2


def _of_system(error: OSError) -> str:
    """What the system refused, and of which file."""
    if error.errno == errno.ENOSPC:
        return f"the output cannot be written: {error.strerror}; make room on the disk"
    reason = " ".join(str(error.strerror or str(error) or type(error).__name__).split())
    return reason if error.filename is None else f"{reason}: {str(error.filename)!r:.200}"


@contextmanager
def naming_options(options: Iterable[Option], typed: Sequence[str]) -> Iterator[None]:
    """Inside, an error that names parameters leaves naming options.

    Args:
        typed: the words of the command line, which stay as they are wherever a message repeats them.
    """
    try:
        yield
    except KeepmapError as error:
        # As it was raised, not as it is shown: shortened where it is long.
        error.args = (in_options(Exception.__str__(error), options, typed),)
        raise


def in_options(message: str, options: Iterable[Option], typed: Sequence[str] = ()) -> str:
    """The message with options in place of the parameters that it names, by the rule of `keepmap.errors`.

    >>> in_options('lower `max_length`, as max_length=256; not f(max_length=256)', [Option("max_length", "max_length")])
    'lower --max_length, as --max_length 256; not f(max_length=256)'
    """
    by_parameter = {option.parameter: option for option in options}
    if not by_parameter:
        return message
    pattern = _pattern(by_parameter, typed)
    # For each bracket that is open: whether it is one of code.
    brackets: list[bool] = []
    closed = _closed(message)

    def replaced(match: re.Match[str]) -> str:
        if (match["call"] or match["open"] or match["close"]) and match.start() not in closed:
            return match[0]  # of a value, such as a file's name
        if match["call"] or match["open"]:
            brackets.append(bool(match["call"]))
        elif match["close"] and brackets:
            brackets.pop()
        elif match["bare"] and not any(brackets):
            return f"--{by_parameter[match['bare']].name}"
        elif match["name"] and not any(brackets):
            return _with_value(by_parameter[match["name"]], match["value"]) or match[0]
        return match[0]

    return pattern.sub(replaced, message)


def _closed(message: str) -> set[int]:
    """Where the brackets stand that have their other half."""
    open_at: list[int] = []
    pairs: set[int] = set()
    for at, letter in enumerate(message):
        if letter in "([{":
            open_at.append(at)
        elif letter in ")]}":
            kind = "([{"[")]}".index(letter)]
            while open_at and message[open_at[-1]] != kind:
                open_at.pop()
            if open_at:
                pairs |= {open_at.pop(), at}
    return pairs


def _pattern(by_parameter: Iterable[str], typed: Sequence[str]) -> re.Pattern[str]:
    """What a message is read as: words of the user, quotations, brackets, and parameters."""
    names = "|".join(map(re.escape, by_parameter))
    words = {word for argument in typed for word in (argument, argument.partition("=")[2]) if re.search("[=`]", word)}
    users = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or r"(?!)"
    value = r"""
        "[^"]*" | '[^']*'                        # quoted
      | \[[^][(){}]*\] | \([^][(){}]*\)          # several
      | \{[^][(){}]*\}                           # a mapping
      | [^\s"'`,;:()[\]{}]*[^\s"'`,;:()[\]{}.!?] # a word, without the punctuation after it
    """
    return re.compile(
        rf"""
        (?P<typed>{users})
      | (?<![\w.\-/])(?P<name>{names})=(?!=)(?P<value>(?>{value}))(?![\w(\[{{])
      | `(?P<bare>{names})`
      | `[^`]*` | "[^"]*" | (?<!\w)'[^']*'(?!\w)
      | (?P<call>(?<=[\w\])])\(|[\[{{]) | (?P<open>\() | (?P<close>[)\]}}])
        """,
        re.VERBOSE,
    )


def _with_value(option: Option, value: str) -> str | None:
    """`--name value`, as a shell takes it; None where no option says so."""
    if option.flag:
        return f"--{option.name}" if value == str(not option.inverted) else None
    if value[0] in "[(":
        items = [_bare(item.strip()) for item in value[1:-1].split(",") if item.strip()]
        return " ".join([f"--{option.name}", *items])
    return f"--{option.name} {_bare(value)}"


def _bare(value: str) -> str:
    """Without the quotes of Python, with those of a shell where it needs them."""
    if value[0] in "\"'":
        return shlex.quote(value[1:-1])
    return shlex.quote(value) if value[0] == "{" else value
