"""What both wings read of a profile: a query's row, and how much a pattern needs."""

import pytest
import torch

from keepmap.attention.profile import AttentionProfile
from keepmap.errors import InputError
from keepmap.insight.coverage import Shares, coverage
from keepmap.insight.subject import needed, row_of


def test_a_row_is_the_mean_over_heads_of_that_query(profile: AttentionProfile) -> None:
    assert profile.queries.tolist() == [59]
    torch.testing.assert_close(row_of(profile, 1, [0, 2], 59), profile.rows[1, [0, 2], 0].double().mean(0))
    with pytest.raises(InputError, match=r"got query 3 without; profile it with queries=\[3\]"):
        row_of(profile, 1, [0], 3)


def test_a_pattern_needs_what_its_rule_keeps() -> None:
    row = torch.tensor([0.5, 0.0, 0.1, 0.1, 0.3], dtype=torch.float64)
    numbers = coverage(Shares.of_query(row), 0.7)
    assert (numbers.top, numbers.recent, numbers.even) == (2, 5, 4)
    patterns = ("recency", "sinks", "uniform", "sparse", "mixed")
    assert [needed(numbers, pattern) for pattern in patterns] == [5, 5, 4, 2, 2]
