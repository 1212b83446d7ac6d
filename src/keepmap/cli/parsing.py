"""From arguments to options; whatever is wrong with them is one line, not a box."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields

import tyro

from keepmap.cli.options import VERBS, Verb
from keepmap.errors import InputError, did_you_mean

__all__ = ["parse"]

# The parser joins the lines of a paragraph and breaks none: each has to fit 80 columns by itself.
DESCRIPTION = (
    "See what a transformer uses of its context, and what dropping the rest costs.\n\n"
    "`keepmap VERB --help` lists options; underscores and dashes are the same.\n\n"
    "`keepmap --version` says which version this is."
)


def parse(arguments: Sequence[str]) -> Verb:
    """The options that the arguments ask for; prints the help and exits with 0 if that is what they ask for.

    Raises:
        InputError: an unknown verb or option, a missing or unusable value.
    """
    _check_names(arguments)
    if arguments[0] in ("-h", "--help"):
        # The list of verbs, which follows in a table, would make the first line wider than a terminal.
        return _parsed(arguments, lambda text: text.replace("{" + ",".join(VERBS) + "}", "VERB"))
    return _parsed(arguments, None)


def _parsed(arguments: Sequence[str], edit: Callable[[str], str] | None) -> Verb:
    """The options; `edit` changes what is printed of a help."""
    said, helped = io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8")
    try:
        # The parser explains in a box as wide as the terminal; a wide one breaks no line that is taken out of it.
        out = contextlib.nullcontext() if edit is None else contextlib.redirect_stdout(helped)
        with out, contextlib.redirect_stderr(said), _columns(None if _asks_for_help(arguments) else 1000):
            options = tyro.extras.subcommand_cli_from_dict(
                dict(VERBS), prog="keepmap", description=DESCRIPTION, args=list(arguments), use_underscores=True
            )
    except SystemExit as stop:
        if not stop.code:
            if edit is not None:
                helped.seek(0)
                print(edit(helped.read()), end="")
            raise
        raise InputError(_one_line(said.getvalue(), arguments)) from None
    assert isinstance(options, Verb)
    return options


def _check_names(arguments: Sequence[str]) -> None:
    """Names are looked up here, for the closest one is not among what the parser says."""
    if not arguments:
        raise InputError(f"no verb was given; use one of {', '.join(VERBS)} (keepmap --help)")
    verb = arguments[0]
    if verb in ("-h", "--help"):
        return
    if verb not in VERBS:
        raise InputError(f'unknown verb "{verb}", {did_you_mean(verb, VERBS)}')
    known = {field.name for field in fields(VERBS[verb])} | {"help"}
    given: set[str] = set()
    for argument in arguments[1:]:
        name = argument.removeprefix("--").split("=", 1)[0].replace("-", "_")
        if argument.startswith("--") and name not in known:
            raise InputError(f'unknown option "{argument}" of {verb}, {_suggest(name, known, verb)}')
        if argument.startswith("--") and name in given:
            raise InputError(f"--{name} was given twice; give it once, with all that it is to hold")
        if argument.startswith("--"):
            given.add(name)


def _suggest(name: str, known: set[str], verb: str) -> str:
    guess = did_you_mean(name, known)
    return guess.replace('"', '"--', 1) if guess.startswith("did you mean") else f"see keepmap {verb} --help"


def _asks_for_help(arguments: Sequence[str]) -> bool:
    return any(argument in ("-h", "--help") for argument in arguments)


def _one_line(box: str, arguments: Sequence[str]) -> str:
    """What the box says before its first rule: the fault, without the help that repeats it."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip("│ \t") for line in box.splitlines()]
    told: list[str] = []
    for line in lines:
        if set(line) <= set("─╭╮╰╯ ") or line.startswith("╭"):
            if told:
                break
            continue
        told.append(line)
    text = " ".join(" ".join(told).split()) or "the arguments cannot be read"
    missing = re.match(r"Missing from keepmap \S+: (--\S+)", text)
    if missing:
        text = f"{missing[1]} is missing"
    return f"{text.rstrip('.')} (keepmap {arguments[0]} --help)"


@contextlib.contextmanager
def _columns(width: int | None) -> Iterator[None]:
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
