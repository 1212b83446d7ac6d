"""The exception tree, and the ends of messages."""

import re

import pytest
import torch

import keepmap
from keepmap import errors
from keepmap.errors import did_you_mean, kind_of

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
