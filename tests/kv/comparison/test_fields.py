"""A record of a file has fields of their types, or there is none."""

import math
from dataclasses import asdict

import pytest

from keepmap.core.densities import KeptCounts
from keepmap.kv.comparison.fields import as_record, typed

COUNTS = KeptCounts(n=10, n_kept=5, n_compressible=4, n_compressible_kept=2)


def test_a_record_is_made_of_its_fields() -> None:
    assert as_record(KeptCounts, asdict(COUNTS)) == COUNTS
    assert typed(3, float | None, "a") == 3.0 and typed(None, float | None, "a") is None and typed(3, int, "a") == 3


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        (True, int, "a is of type bool"),
        (True, float, "a is of type bool"),
        (None, str, "a is of type NoneType"),
        ([1], int, "a is of type list"),
        (math.inf, float, "a is not finite"),
        ("\x1b", str, "a has characters that are not printable"),
    ],
)
def test_a_value_of_another_type_is_refused(value: object, hint: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        typed(value, hint, "a")


def test_what_has_no_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the fields of a KeptCounts, got list"):
        as_record(KeptCounts, [1])
    with pytest.raises(KeyError):
        as_record(KeptCounts, {})
