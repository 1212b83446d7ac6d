"""From arguments to options; whatever is wrong with them is one line, not a box."""

import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import MISSING, fields, make_dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from keepmap.cli.verbs import VERBS, Verb
from keepmap.errors import InputError, did_you_mean

__all__ = ["parse"]

# The parser joins the lines of a paragraph and breaks none: each has to fit 80 columns by itself.
DESCRIPTION = (
    "See what a transformer uses of its context, and what dropping the rest costs.\n\n"
    "`keepmap VERB --help` lists options; underscores and dashes are the same.\n\n"
    "`keepmap --version` says which version this is."
)
HELP = ("-h", "--help")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
VALUE = re.compile(r"""Error parsing --(?P<name>\w+): .*?\[?(?P<quote>['"])(?P<value>.*)(?P=quote)\]?""")
QUOTES = re.compile(r"""['"], ['"]""")
FRAME = re.compile(r"^[\s\u2500-\u257f]+|[\s\u2500-\u257f]+$")


def parse(arguments: Sequence[str]) -> tuple[Verb, object] | None:
    """The verb and its options, a record of `keepmap.cli.options`; None where a help was wanted, which is printed.

    Raises:
        InputError: an unknown verb or option, a missing or unusable value.
    """
    arguments = _gathered(arguments)
    _check(arguments)
    helps = _wants_help(arguments)
    # Faults are taken out of the box that the parser explains them in: a wide one breaks no line, and a frame of the
    # characters of UTF-8 can be told from the text.
    out = _Captured(sys.stdout.encoding or "ascii", sys.stdout.isatty()) if helps else _Captured("utf-8", False)
    complaint = io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(complaint), _columns(None if helps else 1000):
            line = tyro.cli(
                _line(), prog="keepmap", description=DESCRIPTION, args=list(arguments), use_underscores=True
            )
    except SystemExit as stop:
        if stop.code:
            raise InputError(
                f"{_worded(_fault(complaint.getvalue()), VERBS[arguments[0]].record)} (keepmap {arguments[0]} --help)"
            ) from None
        print(_fit(out.getvalue(), out.encoding), end="")
        return None
    return VERBS[arguments[0]], line.verb


class _Captured(io.StringIO):
    """What is printed; the parser asks it, in place of stdout, which characters and colours it can show."""

    def __init__(self, encoding: str, is_terminal: bool) -> None:
        super().__init__()
        self._encoding, self._is_terminal = encoding, is_terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream that it stands for."""
        return self._encoding

    def isatty(self) -> bool:
        """Whether what it stands for is a terminal."""
        return self._is_terminal


def _fit(text: str, encoding: str) -> str:
    """A help text as it is printed."""
    # The list of verbs, which follows in a table, would make the first line wider than a terminal.
    text = text.replace("{" + ",".join(VERBS) + "}", "VERB")
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        # The parser's own care for such an output ends at the bullets.
        return text.replace("•", "*")
    return text


def _line() -> Any:
    """What a command line is to the parser: a verb with its options.

    A class of its own, for in the parser's own for a bare union it looks for documentation in all of Python's typing.
    """
    verbs: list[Any] = [Annotated[verb.record, tyro.conf.subcommand(name=name)] for name, verb in VERBS.items()]
    return make_dataclass("Line", [("verb", Annotated[reduce(or_, verbs), tyro.conf.arg(name="")])])


def _gathered(arguments: Sequence[str]) -> list[str]:
    """The words with the files of every --plugin behind the first one: they can be named together or one by one."""
    words, files, places, is_file = list[str](), list[str](), list[int](), False
    for word in arguments:
        name, equals, value = word.partition("=")
        if name == "--plugin":
            places.append(len(words))
            files += [value] if equals else []
            is_file = not equals
        elif is_file and not word.startswith("-"):
            files.append(word)
        else:
            words.append(word)
            is_file = False
    if len(places) < 2:
        return list(arguments)
    return [*words[: places[0]], "--plugin", *files, *words[places[0] :]]


def _check(arguments: Sequence[str]) -> None:
    """Look names up: the parser does not say which one is close, nor plainly that one is missing or comes twice."""
    if not arguments:
        raise InputError(f"no verb was given; use one of {', '.join(VERBS)} (keepmap --help)")
    verb = arguments[0]
    if verb in HELP:
        return
    if verb not in VERBS:
        raise InputError(f'unknown verb "{verb}", {did_you_mean(verb, VERBS)}')
    known = {field.name: field for field in fields(VERBS[verb].record)}
    names: set[str] = set()
    for argument in arguments[1:]:
        if not argument.startswith("--"):
            continue
        name = argument.removeprefix("--").split("=", 1)[0].replace("-", "_")
        if name not in {*known, "help"}:
            raise InputError(f'unknown option "{argument}" of {verb}, {_suggest(name, [*known, "help"], verb)}')
        if name in names:
            raise InputError(f"--{name} was given twice; give it once, with all that it is to hold")
        names.add(name)
    missing = [name for name, field in known.items() if field.default is MISSING and name not in names]
    if missing and not _wants_help(arguments):
        raise InputError(f"--{missing[0]} is missing (keepmap {verb} --help)")


def _suggest(name: str, known: Sequence[str], verb: str) -> str:
    guess = did_you_mean(name, known)
    return guess.replace('"', '"--', 1) if guess.startswith("did you mean") else f"see keepmap {verb} --help"


def _wants_help(arguments: Sequence[str]) -> bool:
    return any(argument in HELP for argument in arguments)


def _fault(box: str) -> str:
    """What the parser's box says before its first rule: the fault, without the help that repeats it.

    The parser has no public way to say what is wrong but this box. tests/cli/test_parsing.py holds every sentence that
    is taken out of it.
    """
    sentence: list[str] = []
    for line in COLOUR.sub("", box).splitlines():
        # The first line of a box is its frame with a title; a rule is a line of nothing but frame.
        text = "" if line.lstrip().startswith("╭") else FRAME.sub("", line)
        if text:
            sentence.append(text)
        elif sentence:
            break
    return " ".join(" ".join(sentence).split()).rstrip(".") or "the arguments cannot be read"


def _worded(fault: str, record: type) -> str:
    """A fault of the parser's that is of a number, as "expected --option to be X, got Y"; others as they are."""
    match = VALUE.fullmatch(fault)
    kind = {field.name: str(field.type) for field in fields(record)}.get(match["name"], "") if match else ""
    noun = "number" if "float" in kind else "integer" if "int" in kind else ""
    if match is None or not noun:
        return fault
    noun = f"{noun}s" if "tuple" in kind else f"a {noun}" if noun == "number" else f"an {noun}"
    return f'expected --{match["name"]} to be {noun}, got "{QUOTES.sub(" ", match["value"])}"'


@contextmanager
def _columns(width: int | None) -> Iterator[None]:
    """Let the parser think that the terminal has this width; None is the terminal's own."""
    if width is None:
        # Where the output is no terminal, help is for 80 columns.
        if sys.stdout.isatty() or "COLUMNS" in os.environ:
            yield
            return
        width = 80
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
