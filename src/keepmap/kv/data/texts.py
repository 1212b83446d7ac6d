"""Texts to evaluate on: read from JSON lines or text files, cut into token ids; what is none is skipped and named."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_integer, as_path, as_string
from keepmap.core.storage.lines import LARGEST_TEXT, LARGEST_TEXT_IN_WORDS, bounded_lines
from keepmap.core.storage.places import as_file, kind_at
from keepmap.errors import InputError, ModelError, counted
from keepmap.kv.data.chat import as_user_says, require_chat_template

__all__ = ["Samples", "Skipped", "Text", "TextSample", "read_texts", "tokenize_texts"]

SHORTEST = 2
"""Tokens that a text needs: one to read and one to predict."""
SUFFIXES = (".txt", ".md")
"""The endings of files that are one text each."""


@dataclass(frozen=True)
class Text:
    """One text, as a string or as token ids, and where it stands.

    Attributes:
        line: its line in the file, from 1; of a text file or a text that comes from Python, its number, from 1.
        place: what messages call it, where that is not its line.
    """

    line: int
    text: str | tuple[int, ...]
    place: str | None = None

    @property
    def where(self) -> str:
        """What messages call it: "line 3"."""
        return self.place or f"line {self.line}"


@dataclass(frozen=True)
class Skipped:
    """A line or a file that no sample comes from, and why; as a string, "line 3 has fewer than 2 tokens"."""

    line: int
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where} {self.reason}"


@dataclass(frozen=True)
class TextSample:
    """One text as token ids [N]; `index` counts the samples of a run from 0, `line` and `where` are its text's."""

    index: int
    line: int
    ids: tuple[int, ...]
    where: str


@dataclass(frozen=True)
class Samples:
    """The samples of a run, what was skipped, in the order of the data, and whether each is in a chat template."""

    samples: tuple[TextSample, ...]
    skipped: tuple[Skipped, ...]
    chat_template: bool = False


def read_texts(
    path: str | Path, field: str = "text", max_samples: int | None = None, *, strict: bool = False
) -> tuple[tuple[Text, ...], tuple[Skipped, ...]]:
    """The texts of a file of JSON lines, of a .txt or .md file, or of a folder of these; and what in it is none.

    Args:
        field: that holds the text of a JSON line. Blank lines are passed over.
        max_samples: only so many lines, or files by their names, are read.
        strict: whether what is no text is an error.

    Raises:
        InputError: nothing there, what is there is neither file nor folder, or no text in it; where `strict`, anything
            that is no text.
    """
    field = as_string("text_field", field)
    if max_samples is not None and as_integer("max_samples", max_samples, None) < 1:
        raise InputError(f"expected `max_samples` to be 1 or more, got {max_samples}")
    path = as_path("data_path", path)
    is_folder = path.is_dir()
    if is_folder:
        parts = _files(path)
    elif path.suffix.lower() in SUFFIXES:
        parts = iter([(1, _name(path), lambda: _file_text(path))])
    else:
        parts = _lines(path, field)
    texts: list[Text] = []
    skipped: list[Skipped] = []
    first: str | None = None
    for number, place, read in parts:
        if len(texts) + (0 if is_folder else len(skipped)) == max_samples:
            break
        where = place or f"line {number}"
        try:
            texts.append(Text(number, read(), place))
        except _NoText as fault:
            what = f"{where} of {path}" if is_folder or place is None else str(path)
            message = f"{what} {fault}; {fault.advice}"
            if strict:
                raise InputError(message) from None
            first = first or message
            skipped.append(Skipped(number, where, str(fault)))
    if not texts:
        raise InputError(first or f"{path} is empty; {_example(field, is_folder)}")
    return tuple(texts), tuple(skipped)


def tokenize_texts(
    texts: tuple[Text, ...],
    tokenizer: Any,
    *,
    vocab_size: int,
    max_length: int | None = None,
    max_positions: int | None = None,
    model_name: str = "the model",
    chat_template: bool = False,
    skipped: tuple[Skipped, ...] = (),
    skip_short: bool = True,
    skip_long: bool = False,
    context_length: int | float | None = None,
) -> Samples:
    """Token ids of each text, cut at `max_length`; texts that are too short or too long are skipped where allowed.

    Args:
        texts: strings, or token ids that the model has.
        tokenizer: the model's Hugging Face tokenizer; its special tokens are added as it does by default.
        max_positions: how many positions the model has, None where it has no limit.
        chat_template: whether each text becomes what a user says in the tokenizer's chat template, before it is cut.
        skipped: what reading has skipped; it is given back with what is skipped here.
        skip_short, skip_long: whether a text of fewer than two tokens, or of more than the positions, is skipped.
        context_length: where tokens after so many are to be predicted, texts that have none are too short. A share of a
            text leaves some.

    Raises:
        InputError: no text is left, one is too short or too long and not to be skipped, or there is no chat template.
        ModelError: there is no tokenizer for a string, or it is not this model's.
    """
    if tokenizer is None and any(isinstance(text.text, str) for text in texts):
        raise ModelError(f"{model_name} has no tokenizer; put the tokenizer's files into its folder")
    if max_length is not None and as_integer("max_length", max_length, at_least=-(2**63)) < SHORTEST:
        raise InputError(f"expected `max_length` to be {SHORTEST} or more, got {max_length}")
    if chat_template:
        require_chat_template(tokenizer, model_name)
    shortest, advice = SHORTEST, "give longer texts"
    if isinstance(context_length, int) and context_length >= SHORTEST:
        shortest, advice = context_length + 1, "give longer texts, or a smaller `context_length`"
    samples: list[TextSample] = []
    more: list[Skipped] = []
    too_long: str | None = None
    for text in texts:
        ids = (_tokens(text.text, tokenizer, chat_template) if isinstance(text.text, str) else text.text)[:max_length]
        if len(ids) < shortest:
            if not skip_short:
                raise InputError(f"the text of {text.where} has fewer than {shortest} tokens; {advice}")
            more.append(Skipped(text.line, text.where, f"has fewer than {shortest} tokens"))
        elif max_positions is not None and len(ids) > max_positions:
            reason = f"has {counted(len(ids), 'token')}, {model_name} has {counted(max_positions, 'position')}"
            too_long = too_long or (
                f"the text of {text.where} {reason}; max_length={max_positions} would use the first {max_positions} "
                "tokens of each text"
            )
            if not skip_long:
                raise InputError(too_long)
            more.append(Skipped(text.line, text.where, reason))
        elif max(ids) >= vocab_size:
            raise ModelError(
                f"the tokenizer gives id {max(ids)}, {model_name} has a vocabulary of {vocab_size}; "
                "it is another model's tokenizer"
            )
        else:
            samples.append(TextSample(len(samples), text.line, ids, text.where))
    if not samples:
        raise InputError(
            too_long or f"{_every(len(texts))} fewer than {shortest} tokens; there is nothing to predict, {advice}"
        )
    return Samples(tuple(samples), tuple(sorted([*skipped, *more], key=lambda part: part.line)), chat_template)


class _NoText(Exception):
    """Why a line or a file is no text: what is said behind its name, and what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


_TOO_LARGE = "the most that is read as one text; split it into several"

_Part = tuple[int, str | None, Callable[[], str]]
"""A line's or a file's number, its name where it has one, and what reads its text."""


def _tokens(text: str, tokenizer: Any, chat_template: bool) -> tuple[int, ...]:
    # `verbose` would warn about lengths that are cut, skipped or refused later.
    if not chat_template:
        return tuple(tokenizer(text, verbose=False)["input_ids"])
    # The template has the special tokens.
    return tuple(tokenizer(as_user_says(text, tokenizer), add_special_tokens=False, verbose=False)["input_ids"])


def _files(folder: Path) -> Iterator[_Part]:
    """What is in a folder, by name; hidden files are passed over."""

    def reader(path: Path) -> Callable[[], str]:
        return lambda: _file_text(path)

    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from None
    return ((number, _name(path), reader(path)) for number, path in enumerate(paths, start=1))


def _name(path: Path) -> str:
    """A file's name; as a Python literal where it holds what a terminal would obey."""
    return path.name if path.name.isprintable() else ascii(path.name)


def _file_text(path: Path) -> str:
    try:
        if path.suffix.lower() not in SUFFIXES:
            raise _NoText(f"is no {' or '.join(SUFFIXES)} file", "take it out of the folder")
        if (kind := kind_at(path)) is not None:
            raise _NoText(f"is {kind}, not a file", f"give {' or '.join(SUFFIXES)} files")
        if path.stat().st_size > LARGEST_TEXT:
            raise _NoText(f"has more than {LARGEST_TEXT_IN_WORDS}", _TOO_LARGE)
        # With `\n` at line ends, whatever they are.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _NoText(f"is not UTF-8 (byte {error.start + 1})", "save the file as UTF-8") from None
    except FileNotFoundError:
        raise InputError(f"no data file at {path}: no such file; name a .txt or .md file that is there") from None
    except OSError as error:
        raise _NoText(f"cannot be read ({error.strerror or error})", "make it readable") from None


def _lines(path: Path, field: str) -> Iterator[_Part]:
    def reader(line: bytes | None) -> Callable[[], str]:
        return lambda: _json_text(line, field)

    try:
        with as_file(path).open("rb") as file:
            for number, line in enumerate(bounded_lines(file, LARGEST_TEXT), start=1):
                if number == 1 and line is not None:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line is None or line.strip():
                    yield number, None, reader(line)
    except FileNotFoundError:
        raise InputError(
            f"no data file at {path}: no such file; `keepmap sample-data --out {path}` makes one"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read the data file {path}: {error.strerror or error}") from None


def _json_text(line: bytes | None, field: str) -> str:
    if line is None:
        raise _NoText(f"has more than {LARGEST_TEXT_IN_WORDS}", _TOO_LARGE)
    try:
        decoded = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _NoText(f"is not UTF-8 (byte {error.start + 1})", "save the file as UTF-8") from None
    try:
        record = json.loads(decoded)
    except json.JSONDecodeError as error:
        raise _NoText(f"is not JSON ({error.msg}, column {error.colno})", _example(field)) from None
    except (ValueError, RecursionError) as error:
        raise _NoText(f"is not JSON that can be read ({error})", _example(field)) from None
    if not isinstance(record, dict):
        raise _NoText(f"is {_kind(record)}", f'it must be an object with the field "{field}"')
    if field not in record:
        fields = ", ".join(json.dumps(key) for key in record) or "no fields"
        raise _NoText(f'has no field "{field}", found {fields}', "name another with `text_field`")
    text = record[field]
    if not isinstance(text, str):
        raise _NoText(f'has {_kind(text)} in the field "{field}"', "it must be a string")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _NoText(f'has half of a surrogate pair in the field "{field}"', "which is not text") from None
    return text


def _every(n: int) -> str:
    return "the only text has" if n == 1 else f"all {n:,} texts have"


def _example(field: str, is_folder: bool = False) -> str:
    if is_folder:
        return f"put {' or '.join(SUFFIXES)} files into it"
    return f"each line must be one JSON object, such as {json.dumps({field: '...'})}"


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
