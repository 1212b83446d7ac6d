"""Questions of a user's own: a JSON file of contexts, questions and answers, in the form of SQuAD or plainly."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepmap.core.arguments import shown
from keepmap.core.storage.text import read_text
from keepmap.errors import InputError
from keepmap.kv.tasks.task import Span

__all__ = ["FileQuestion", "read_questions"]

_FORM = '{"context": "...", "question": "...", "answers": ["..."], "evidence": ["..."]}'


@dataclass(frozen=True, kw_only=True)
class FileQuestion:
    """A question of a file; `name` is where it stands there."""

    name: str
    context: str
    question: str
    answers: tuple[str, ...]
    evidence: tuple[Span, ...]


def read_questions(path: str | Path) -> list[FileQuestion]:
    """The questions of a file: a JSON list of them, a line of JSON for each, or SQuAD's `{"data": [...]}`.

    Each has a context, a question and its answers, and may have evidence: pieces of the context, by their words.
    SQuAD's unanswerable questions are left out.

    Raises:
        InputError: no such file, no JSON, no question, one without answers, or evidence that its context does not hold.
    """
    text = read_text("qa_file", path)
    try:
        document = json.loads(text)
    except RecursionError:
        raise InputError("expected `qa_file` to be JSON, got lists in lists without end") from None
    except ValueError:
        document = [_line(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if isinstance(document, dict):
        document = list(_of_squad(document)) if "data" in document else [document]
    if not isinstance(document, list) or not document:
        raise InputError(f"expected `qa_file` to be a list of questions, {_FORM}, got {shown(document)}")
    return [_question(f"question {number} of `qa_file`", item) for number, item in enumerate(document, start=1)]


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {number} of `qa_file` is no JSON ({error}); write {_FORM}") from None


def _of_squad(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        for article in document["data"]:
            for paragraph in article["paragraphs"]:
                for entry in paragraph["qas"]:
                    if entry.get("is_impossible"):
                        continue
                    answers = entry["answers"]
                    yield {
                        "context": paragraph["context"],
                        "question": entry["question"],
                        "answers": [answer["text"] for answer in answers],
                        "answer_start": answers[0]["answer_start"],
                    }
    except (KeyError, IndexError, TypeError, AttributeError):
        raise InputError(
            f"`qa_file` has data as SQuAD has, and not its paragraphs, qas and answers; write {_FORM}"
        ) from None


def _question(name: str, item: Any) -> FileQuestion:
    if not isinstance(item, dict):
        raise InputError(f"expected {name} to be {_FORM}, got {shown(item)}")
    context, question = (_text(name, item, key) for key in ("context", "question"))
    answers = item.get("answers", item.get("answer"))
    answers = [answers] if isinstance(answers, str) else answers
    if not isinstance(answers, list) or not answers or not all(isinstance(each, str) and each for each in answers):
        raise InputError(f'{name} has no answers; write them as "answers": ["..."]')
    return FileQuestion(
        name=name,
        context=context,
        question=question,
        answers=tuple(answers),
        evidence=tuple(_evidence(name, context, item)),
    )


def _text(name: str, item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f'{name} has no {key}; write it as "{key}": "..."')
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"the {key} of {name} is no text: it holds half of a surrogate pair") from None
    return value


def _evidence(name: str, context: str, item: dict[str, Any]) -> Iterator[Span]:
    if "answer_start" in item:  # SQuAD's, of the first answer
        first, words = item["answer_start"], item["answers"][0]
        if type(first) is not int or first < 0 or context[first : first + len(words)] != words:
            raise InputError(f"the answer of {name} does not stand in its context where answer_start says")
        yield first, first + len(words)
    words = item.get("evidence", ())
    words = [words] if isinstance(words, str) else words
    if not isinstance(words, list | tuple) or not all(isinstance(piece, str) and piece for piece in words):
        raise InputError(f'expected the evidence of {name} to be pieces of its context, "evidence": ["..."]')
    for piece in words:
        if piece not in context:
            raise InputError(
                f"the evidence of {name} is not found in its context: {piece!r:.60}; quote it to the letter"
            )
        yield context.index(piece), context.index(piece) + len(piece)
