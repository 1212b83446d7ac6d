"""The exception tree, and the ends of messages."""

import re
from unicodedata import bidirectional, category

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import keepmap
from keepmap import errors
from keepmap.errors import InputError, did_you_mean, escaped, kind_of, shortened

TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
BASES = {
    "InputError": ValueError,
    "ModelError": ValueError,
    "OutputError": OSError,
    "WorkerError": RuntimeError,
    "ImpossibleResultError": ArithmeticError,
}


def test_every_error_is_keepmaps_and_pythons() -> None:
    classes = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert classes == {"KeepmapError", *BASES}
    for name, base in BASES.items():
        error = getattr(errors, name)
        assert issubclass(error, errors.KeepmapError) and issubclass(error, base)
        assert str(error("one line")) == "one line"
        assert re.search(rf"{name} .*\(also an? {base.__name__}\)", errors.__doc__ or "")
        assert getattr(keepmap, name) is error


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("densty", 'did you mean "density"?'),
        ("dtyp", 'did you mean "dtype"?'),
        ("zzzz", "known: density, dtype, seed"),
        ("", "known: density, dtype, seed"),
    ],
)
def test_did_you_mean(name: str, end: str) -> None:
    assert did_you_mean(name, iter(["seed", "density", "dtype"])) == end


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([], "a list"),
        ((1,), "a tuple"),
        ("x", "a str"),
        (3, "an int"),
        (0.5, "a float"),
        (True, "a bool"),
        (None, "None"),
        (int, "the class int"),
        (torch.zeros(2), "a Tensor"),
        (errors.InputError("x"), "an InputError"),
        (len, "a builtin_function_or_method"),
    ],
)
def test_kind_of(value: object, kind: str) -> None:
    assert kind_of(value) == kind


EVIL = "x\x1b[31m\x9b\u202e\u2066\u200e\u2028\x00\x7f"


@pytest.mark.parametrize("name", ["KeepmapError", *BASES])
def test_a_message_holds_nothing_that_a_terminal_obeys(name: str) -> None:
    message = str(getattr(errors, name)(f"no file {EVIL}"))
    assert message == "no file x\\x1b[31m\\x9b\\u202e\\u2066\\u200e\\u2028\\x00\\x7f"


@given(st.text())
def test_escapes_are_of_what_cannot_be_seen_alone(text: str) -> None:
    shown = escaped(text)
    assert escaped(shown) == shown
    assert not any(category(char) in ("Cc", "Cs", "Zl", "Zp") for char in shown if char not in "\n\t")
    assert not any(bidirectional(char) in TURNING for char in shown)
    if text.isprintable() or text.isascii() and text.replace("\n", "").isprintable():
        assert shown == text


@given(st.text(min_size=1), st.integers(20, 500))
def test_what_is_shortened_begins_and_ends_as_it_did(text: str, longest: int) -> None:
    text = text * 100
    shown = shortened(text, longest)
    assert len(shown) <= longest and (shown == text) == (len(text) <= longest)
    assert text.startswith(shown[: longest // 2 - 3]) and text.endswith(shown[-(longest // 2 - 3) :])


def test_a_long_message_keeps_what_to_do() -> None:
    message = str(InputError(f"no data file at {'x' * 10_000}: no such file; give one"))
    assert len(message) == 400
    assert message.startswith("no data file at xxx") and message.endswith("xxx: no such file; give one")
