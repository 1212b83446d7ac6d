"""What callers pass: numbers, strings, paths, functions and arrays."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from keepmap.core.arguments import (
    as_array,
    as_function,
    as_integer,
    as_integers,
    as_number,
    as_path,
    as_string,
    check_options,
    shown,
)
from keepmap.errors import InputError


def test_integers_of_any_kind_are_python_integers():
    results = [as_integer("window", value) for value in (0, 7, np.int64(7))]
    assert results == [0, 7, 7] and {type(value) for value in results} == {int}
    assert as_integer("window", -3, at_least=-3) == -3


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, [1], np.float64(2)], ids=str)
def test_what_is_no_integer_is_one_line(value):
    with pytest.raises(InputError, match=r"^expected `window` to be an integer of 0 or more, got .+$"):
        as_integer("window", value)


def test_numbers_of_any_kind_are_python_floats():
    results = [as_number("density", value) for value in (1, 0.5, np.float32(0.5), -math.inf)]
    assert results == [1.0, 0.5, 0.5, -math.inf] and {type(value) for value in results} == {float}
    assert as_number("density", 1.0, 0.0, 1.0) == 1.0


@pytest.mark.parametrize("value", [True, math.nan, "0.5", None, 1.01, -0.01], ids=str)
def test_what_is_no_number_or_outside_is_one_line(value):
    with pytest.raises(InputError, match=r"^expected `density` to be a number in \[0, 1\], got .+$"):
        as_number("density", value, 0.0, 1.0)


def test_what_was_given_is_shown_short_and_on_one_line():
    assert [shown(value) for value in ("a\nb", 3, None, [1, 2])] == ["'a\\nb'", "3", "None", "a list"]
    assert len(shown("x" * 500)) == 60


def test_integers_have_a_largest_one() -> None:
    assert as_integer("n", 2**63 - 1) == 2**63 - 1 and as_integer("n", -3, None) == -3
    with pytest.raises(InputError, match="^expected `n` to be an integer of 9223372036854775807 or less, got 1000"):
        as_integer("n", 10**30)
    with pytest.raises(InputError, match="^expected `n` to be an integer, got True$"):
        as_integer("n", True, None)


def test_no_bound_is_named_that_every_integer_keeps() -> None:
    with pytest.raises(InputError, match="^expected `n` to be an integer, got 'x'$"):
        as_integer("n", "x", at_least=-(2**63))


def test_one_integer_or_several() -> None:
    assert as_integers("n", 3) == [3] and as_integers("n", np.array([1, 2])) == [1, 2]
    for wrong in ("12", 1.5, [1, "a"], None, torch.tensor(1.0), True):
        with pytest.raises(InputError, match="^expected `n` to be an integer or several, got "):
            as_integers("n", wrong)


def test_strings_paths_functions_and_arrays() -> None:
    assert as_string("s", "ä") == "ä" and as_path("p", "a") == Path("a") and as_function("f", None) is None
    assert as_array("a", [1.5, 2]).tolist() == [1.5, 2.0]
    assert as_path("p", "\udcff") == Path("\udcff"), "a byte of a name that is not UTF-8"
    for wrong in ("\ud800", "\udd00", 5):
        with pytest.raises(InputError, match="^expected `s` to be "):
            as_string("s", wrong)
    for wrong in ("", "a\0b", "\ud800", "\udc7f", "\udd00", "\udfff", 5, None):
        with pytest.raises(InputError, match="^expected `p` to be a path, got "):
            as_path("p", wrong)
    with pytest.raises(InputError, match="^expected `f` to be a function or None, got 5$"):
        as_function("f", 5)
    for wrong in ([[1], [1, 2]], ["a"], None):
        with pytest.raises(InputError, match="^expected `a` to be an array of numbers, got "):
            as_array("a", wrong)


@dataclass(frozen=True)
class Options:
    """One of each kind that is checked, and one that is not."""

    count: int = 1
    share: float = 0.5
    sample: bool = False
    kind: str = "a"
    scorer: Callable[[int], int] = abs
    named: "int" = 1
    free: int | None = None


def test_options_are_what_their_annotations_say():
    check_options(Options(count=np.int64(-2), share=math.inf, sample=np.bool_(True)))
    check_options(Options(share=3, free="anything"))
    wrong = {"count": (1.5, True, "a"), "share": ("a", None, True), "sample": (1, "a"), "kind": (1,), "scorer": (3,)}
    for name, values in {**wrong, "named": ("a",)}.items():
        for value in values:
            with pytest.raises(InputError, match=f"^expected `{name}` to be "):
                check_options(Options(**{name: value}))
