"""Numbers of samples: what is taken, and one line for what is not."""

import numpy as np
import pytest

from keepmap.core.statistics.samples import clusters_of, is_between, numbers_of, table_of
from keepmap.errors import InputError


def test_what_is_taken() -> None:
    assert numbers_of("x", [1, True, 0.5]).tolist() == [1.0, 1.0, 0.5]
    assert table_of("x", ((1, 2),), (1, None)).shape == (1, 2)
    assert clusters_of(None, 3)[0].tolist() == [0, 1, 2]
    assert is_between(0.5, 0, 1) and not is_between(1, 0, 1) and not is_between("0.5", 0, 1)
    of, n = clusters_of(np.array(["b", "a", "b"]), 3)
    assert (of.tolist(), n) == ([0, 1, 0], 2)


@pytest.mark.parametrize("values", [[], [[1.0]], ["a"], None, [1.0, float("inf")], {"a": 1}, [[1.0], [1.0, 2.0]]])
def test_what_is_no_list_of_numbers(values: object) -> None:
    with pytest.raises(InputError, match="expected `x` to be "):
        numbers_of("x", values)


@pytest.mark.parametrize("values", [[1.0], [[]], [[1.0, 2.0]], [["a", "b", "c"]]])
def test_what_is_no_such_table(values: object) -> None:
    with pytest.raises(InputError, match="expected `x` to be a table"):
        table_of("x", values, (None, 3))


@pytest.mark.parametrize("clusters", ["ab", 3, [1], [[1], [2]]])
def test_what_names_no_clusters(clusters: object) -> None:
    with pytest.raises(InputError, match="expected `clusters` "):
        clusters_of(clusters, 2)
