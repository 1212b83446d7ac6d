"""Numbers that callers pass."""

import math

import numpy as np
import pytest

from keepmap.core.arguments import as_integer, as_number, shown
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
