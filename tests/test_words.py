"""Names are nouns that say what they hold, and all messages have one form."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SAY_NOTHING = {"asked", "found", "made", "one", "said", "told"}
OTHER_FORMS = re.compile(r"`: expected |^expected [^`]* as `|cannot be done|not possible")
"""Beside "expected `name` to be X, got Y"."""
FILES = [path for folder in ("src", "tests", "benchmarks", "docs") for path in sorted((ROOT / folder).rglob("*.py"))]


def identifiers(source: str) -> Iterator[str]:
    """Every variable, parameter, attribute, function and class that a source names, and what it imports as what."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name


def empty_names(source: str) -> set[str]:
    return {name for name in identifiers(source) if name.strip("_") in SAY_NOTHING}


def messages(source: str) -> Iterator[str]:
    """The strings of a source as they begin, values left out; an f-string is one, as `expected {} to be`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_names_say_what_they_hold() -> None:
    assert len(FILES) > 400, "the sources were not found"
    empty = {path.relative_to(ROOT).as_posix(): empty_names(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: names for path, names in empty.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "found = 1",
        "self._found = 1",
        "def said(): ...",
        "def f(made): ...",
        "f(asked=1)",
        "lambda one: 1",
        "[told for told in x]",
        "import x as one",
        "match x:\n    case [*found]: ...",
        "f'{found}'",
    ],
)
def test_a_name_that_says_nothing_is_noticed(line: str) -> None:
    assert empty_names(line)


def test_a_name_that_says_something_passes() -> None:
    assert empty_names("n_found = [founder for founder in 'one said']") == set()


def test_messages_have_one_form() -> None:
    other = {
        path.relative_to(ROOT).as_posix(): texts
        for path in FILES
        if path.is_relative_to(ROOT / "src")
        and (texts := [text for text in messages(path.read_text(encoding="utf-8")) if OTHER_FORMS.search(text)])
    }
    assert other == {}


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("f'expected `{name}` to be 1, got {x}'", False),
        ("'expected `x` to be `y` as text, got 1'", False),
        ("f'`{name}`: expected 1, got {x}'", True),
        ("f'expected {kind} as `x`, got {x}'", True),
    ],
)
def test_a_message_of_another_form_is_noticed(text: str, other: bool) -> None:
    assert any(map(OTHER_FORMS.search, messages(text))) == other
