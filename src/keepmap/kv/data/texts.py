"""Texts to evaluate on: read from a file of JSON lines, and cut into token ids."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_integer
from keepmap.errors import InputError, ModelError

__all__ = ["Samples", "Text", "TextSample", "read_texts", "tokenize_texts"]

SHORTEST = 2
"""Tokens that a text needs: one to read and one to predict."""


@dataclass(frozen=True)
class Text:
    """One text, as a string or as token ids, and where it stands.

    Attributes:
        line: its line in the file, from 1; of a text that comes from Python, its number in the sequence, from 1.
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
class TextSample:
    """One text as token ids [N]; `index` counts the samples of a run from 0, `line` and `where` are its text's."""

    index: int
    line: int
    ids: tuple[int, ...]
    where: str


@dataclass(frozen=True)
class Samples:
    """The samples of a run, and the lines whose texts were too short to be one."""

    samples: tuple[TextSample, ...]
    skipped_lines: tuple[int, ...]


def read_texts(path: str | Path, field: str = "text", max_samples: int | None = None) -> tuple[Text, ...]:
    """The field `field` of each JSON line, of the first `max_samples` lines; blank lines are passed over.

    Raises:
        InputError: no such file, nothing in it, or a line that is not UTF-8, no JSON object, or has no such text.
    """
    if max_samples is not None and max_samples < 1:
        raise InputError(f"expected `max_samples` to be 1 or more, got {max_samples}")
    texts: list[Text] = []
    for number, line in _lines(Path(path)):
        if len(texts) == max_samples:
            break
        texts.append(Text(number, _text(path, number, line, field)))
    if not texts:
        raise InputError(f"{path} is empty; {_example(field)}")
    return tuple(texts)


def tokenize_texts(
    texts: tuple[Text, ...],
    tokenizer: Any,
    *,
    vocab_size: int,
    max_length: int | None = None,
    max_positions: int | None = None,
    model_name: str = "the model",
) -> Samples:
    """Token ids of each text, cut at `max_length`; texts of fewer than two tokens are skipped.

    Args:
        texts: strings, or token ids that the model has.
        tokenizer: the model's Hugging Face tokenizer; its special tokens are added as it does by default.
        max_positions: how many positions the model has, None where it has no limit.

    Raises:
        InputError: every text is too short, or one is longer than the model's positions.
        ModelError: there is no tokenizer for a string, or it is not this model's.
    """
    if tokenizer is None and any(isinstance(text.text, str) for text in texts):
        raise ModelError(f"{model_name} has no tokenizer; put the tokenizer's files into its folder")
    if max_length is not None and as_integer("max_length", max_length, at_least=-(2**63)) < SHORTEST:
        raise InputError(f"expected `max_length` to be {SHORTEST} or more, got {max_length}")
    samples: list[TextSample] = []
    skipped: list[int] = []
    for text in texts:
        # `verbose` would warn about lengths that are cut or refused below.
        ids = tuple(tokenizer(text.text, verbose=False)["input_ids"]) if isinstance(text.text, str) else text.text
        ids = ids[:max_length]
        if len(ids) < SHORTEST:
            skipped.append(text.line)
            continue
        if max_positions is not None and len(ids) > max_positions:
            raise InputError(
                f"the text of {text.where} has {len(ids)} tokens, {model_name} has {max_positions} positions; "
                f"max_length={max_positions} would use the first {max_positions} tokens of each text"
            )
        if max(ids) >= vocab_size:
            raise ModelError(
                f"the tokenizer gives id {max(ids)}, {model_name} has a vocabulary of {vocab_size}; "
                "it is another model's tokenizer"
            )
        samples.append(TextSample(len(samples), text.line, ids, text.where))
    if not samples:
        raise InputError(
            f"all {len(texts)} texts have fewer than {SHORTEST} tokens; there is nothing to predict in them, "
            "give longer texts"
        )
    return Samples(tuple(samples), tuple(skipped))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise InputError(
            f"no data file at {path}: no such file; `keepmap sample-data --out {path}` makes one"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read the data file {path}: {error.strerror or error}") from None


def _text(path: str | Path, number: int, line: bytes, field: str) -> str:
    where = f"line {number} of {path}"
    try:
        decoded = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
    try:
        record = json.loads(decoded)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON ({error.msg}, column {error.colno}); {_example(field)}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON that can be read ({error}); {_example(field)}") from None
    if not isinstance(record, dict):
        raise InputError(f'{where} is {_kind(record)}; it must be an object with the field "{field}"')
    if field not in record:
        fields = ", ".join(json.dumps(key) for key in record) or "no fields"
        raise InputError(f'{where} has no field "{field}", found {fields}; name another with `text_field`')
    text = record[field]
    if not isinstance(text, str):
        raise InputError(f'the field "{field}" in {where} is {_kind(text)}; it must be a string')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f'the field "{field}" in {where} holds half of a surrogate pair, which is not text') from None
    return text


def _example(field: str) -> str:
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
