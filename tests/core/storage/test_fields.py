"""A record of a file has fields of their types, or there is none."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pytest

from keepmap.core.densities import KeptCounts
from keepmap.core.storage.fields import as_record, typed

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


@dataclass(frozen=True)
class Both:
    """Counts, and numbers by name."""

    counts: KeptCounts
    cost: Mapping[str, float]


def test_a_field_can_be_a_record_or_numbers_by_name() -> None:
    both = Both(COUNTS, {"kl": 1.0})
    assert as_record(Both, {"counts": asdict(COUNTS), "cost": {"kl": 1}}) == both
    assert as_record(Both, {"counts": COUNTS, "cost": {"kl": 1.0}}) == both
    for wrong in ([1], {"kl": None}, {"\x1b": 1.0}, {"kl": math.nan}):
        with pytest.raises(ValueError, match="^cost "):
            as_record(Both, {"counts": COUNTS, "cost": wrong})


def test_what_has_no_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the fields of a KeptCounts, got list"):
        as_record(KeptCounts, [1])
    with pytest.raises(KeyError):
        as_record(KeptCounts, {})
