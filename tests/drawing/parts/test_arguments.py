"""What callers hand to the figures: taken where it has what is needed, else one line that names the parameter."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.parts.arguments import check_kind, flat_axes, given_axes, keep_map_of
from keepmap.errors import InputError
from tests.drawing.maps import streaming


@dataclass
class Evicted:
    keep_map: KeepMap


def test_a_keep_map_and_what_holds_one_are_taken() -> None:
    keep_map = streaming(200)
    assert keep_map_of(keep_map) is keep_map
    assert keep_map_of(Evicted(keep_map)) is keep_map


@pytest.mark.parametrize(
    ("source", "got"),
    [
        ("a.keepmap", "str"),
        (None, "NoneType"),
        (SimpleNamespace(keep_map="x"), "SimpleNamespace"),
        (KeepMap, "the class"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_anything_else_is_an_error_in_one_line(source: object, got: str) -> None:
    with pytest.raises(InputError, match=f"^expected `keep_map` to be a KeepMap or an Eviction, got {got}"):
        keep_map_of(source)  # type: ignore[arg-type]


def test_a_kind_is_checked_and_a_class_is_not_its_instance() -> None:
    check_kind("n", 3, int, "a number")
    with pytest.raises(InputError, match="^expected `n` to be a number, got the class int itself$"):
        check_kind("n", int, int, "a number")


def test_axes_are_counted() -> None:
    figure = Figure()
    rows = figure.subplots(2, 2)
    assert given_axes(rows, 4) == tuple(rows.ravel())
    assert given_axes(rows[0, 0], 1, 2) == (rows[0, 0],)
    assert given_axes(iter(rows[0]), 1, 2) == tuple(rows[0])
    with pytest.raises(InputError, match=r"^expected `ax` to be 1 or 2 Axes \(two are best\), got 4 Axes$"):
        given_axes(rows, 1, 2, what=" (two are best)")


@pytest.mark.parametrize(
    ("axes", "got"),
    [(Figure(), "Figure"), ("ax", "str"), ([3], "a list of int"), (np.array([[None]]), "a ndarray of None")],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_axes_is_an_error(axes: object, got: str) -> None:
    with pytest.raises(InputError, match=f"^expected `ax` to be Axes, got {got}"):
        given_axes(axes, 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"^expected `figure` to be something else, got {got}"):
        flat_axes("figure", axes, "something else")
